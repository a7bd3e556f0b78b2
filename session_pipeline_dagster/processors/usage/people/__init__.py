"""Usage by person, team and project, and what of it may leave."""
