"""Tokens of an issuer (JWT, as OpenID Connect and RFC 9068 have them) beside keys. Imported only where it is set up."""
