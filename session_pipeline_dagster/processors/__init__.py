"""The processors that ship with the project; they enter through the same door as everyone's."""
