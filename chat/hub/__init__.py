"""All that talks to the Hub: loading from it, publishing to it, and what its errors mean."""
