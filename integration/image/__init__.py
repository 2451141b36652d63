"""A container engine and a base image of our own, for the test of the Dockerfile."""
