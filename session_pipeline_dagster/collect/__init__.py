"""How do transcripts get from people's machines to where they are collected?"""
