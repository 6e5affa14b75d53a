"""What calls cost: a book of prices, tokens before a call, and the dollars of a run."""

from harness.prices.book import NoPrice, OwnPrice, PriceBook, Rates, Seller, read_prices

__all__ = ["NoPrice", "OwnPrice", "PriceBook", "Rates", "Seller", "read_prices"]
