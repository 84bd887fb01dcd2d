"""What can go wrong, in one catalogue: what each problem means, what to do about it, whether to repeat the request.

The problems of HTTP are the error classes; beside them stand the reasons that streams give and the types of failed
turns. ``GET /problems``, the guide's page and the tests are made of it; nothing else explains them.
"""
