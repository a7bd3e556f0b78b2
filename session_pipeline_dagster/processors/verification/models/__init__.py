"""How is a language model asked? One door, two providers, patience and a budget."""
