SELECT made_at, people AS shown FROM published
