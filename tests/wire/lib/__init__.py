"""The wire tests' library: a vhost-user front-end, its guest memory and its driver, in plain Python."""
