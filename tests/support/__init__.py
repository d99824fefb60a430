"""What tests share: servers, harnesses, scenarios and readers of answers. No tests are here."""
