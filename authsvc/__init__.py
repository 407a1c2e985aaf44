"""The web service: sign-in, sign-on for apps, the console pages."""
