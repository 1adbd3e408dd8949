"""The command line: starts the services, builds the images, and asks a running gateway."""
