"""What else a user could run on the same weights, measured in the same way; needs the environment `bench-rivals`."""
