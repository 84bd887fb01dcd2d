"""What somebody does who means harm: ``make attacks`` tries it by the hundred thousand, the tests a little of each."""
