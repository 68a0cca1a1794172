"""What the program asks of the venue, as (method, route): the list that runs are held against."""

ENGINE_USES = {
    ("GET", "/v2/account"),
    ("GET", "/v2/clock"),
    ("GET", "/v2/calendar"),
    ("GET", "/v2/assets"),
    ("POST", "/v2/orders"),
    ("GET", "/v2/orders"),
    ("DELETE", "/v2/orders"),
    ("GET", "/v2/orders:by_client_order_id"),
    ("DELETE", "/v2/orders/{}"),
    ("GET", "/v2/positions"),
    ("GET", "/v2/stocks/bars"),
    ("GET", "/v2/stocks/quotes/latest"),
    ("GET", "/v2/stocks/trades/latest"),
    ("GET", "/v1beta1/news"),
}
STREAMS = {("GET", "/stream"), ("GET", "/v2/{}")}  # judged in test_stream_conformance
