"""What makes plans real: each engine looks (`observe`) and does (`perform`), and never decides (D2)."""
