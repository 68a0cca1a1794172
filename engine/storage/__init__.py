"""The two research databases. Their modules own the SQL; nobody else writes any."""
