"""From encoded pictures to the square images that a network takes."""
