"""What tests share: servers, broker backends, scenarios and readers of answers. No tests are here."""
