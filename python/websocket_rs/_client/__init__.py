"""The client behind the public modules. Nothing in here is for programs to import."""
