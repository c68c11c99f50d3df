"""From an encoded picture to the square a network sees."""
