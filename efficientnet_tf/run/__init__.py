"""The command line and what one invocation of it builds."""
