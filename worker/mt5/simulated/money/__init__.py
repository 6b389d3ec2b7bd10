"""What positions are worth and reserve, and what the account has."""
