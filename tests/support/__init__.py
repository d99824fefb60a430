"""What tests share: servers, stands, scenarios and readers of answers. No tests are here."""
