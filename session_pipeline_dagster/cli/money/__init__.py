"""Commands about money: what usage cost, and how prices are found."""
