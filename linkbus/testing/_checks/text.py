"""Text: keys and headers arrive as the text that they were, whatever it is."""

from __future__ import annotations

from linkbus import MessageError
from linkbus.abc import SendStatus, carried
from linkbus.testing._check import check
from linkbus.testing._checks.round_trip import there_and_back
from linkbus.testing._trial import Trial

UNICODE = "Grüße, 注文 №7 — 🧾\u0000\t\u2028"
BINARY = bytes([0, 1, 127, 128, 195, 40, 255, 254])


async def same_header(trial: Trial, name: str, value: str | bytes) -> None:
    """Fail unless a header arrives as it was sent."""
    sent = trial.envelope(b"-", headers=[(name, value)])
    arrival = await there_and_back(trial, sent)
    expected = [sent.headers[name]]
    got = arrival.headers.get_all(name)
    assert got == expected, f"the header {name!r} was {expected!r} and arrived as {got!r}"


async def same_key(trial: Trial, key: str | None) -> None:
    """Fail unless a key arrives as it was sent."""
    arrival = await there_and_back(trial, trial.envelope(b"-", key=key))
    assert arrival.key == key, f"the key {key!r} arrived as {arrival.key!r}"


@check()
async def unicode_header(trial: Trial) -> None:
    """A header value beyond ASCII arrives unchanged."""
    await same_header(trial, "note", UNICODE)


@check()
async def unicode_header_name(trial: Trial) -> None:
    """A header name beyond ASCII, with spaces and dots, arrives unchanged or is refused."""
    name = "Ünïcode. name/№"
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    (result,) = await trial.try_send(destination, [trial.envelope(headers={name: "value"})])
    if result.status is SendStatus.FAILED:
        refused = isinstance(result.error, MessageError)
        assert refused, f"the name was refused with {result.error!r}, not with MessageError"
        return
    (arrival,) = await trial.consume(receiver, 1)
    assert arrival.headers.get(name) == "value", f"of the headers arrived: {arrival.headers!r}"


@check()
async def binary_header(trial: Trial) -> None:
    """A header value that is no UTF-8 arrives byte for byte."""
    await same_header(trial, "digest", BINARY)


@check()
async def empty_header(trial: Trial) -> None:
    """An empty header value arrives empty."""
    await same_header(trial, "empty", "")


@check()
async def header_case(trial: Trial) -> None:
    """Header names that differ only in case stay two headers."""
    sent = trial.envelope(b"-", headers=[("Tenant", "a"), ("tenant", "b")])
    arrival = await there_and_back(trial, sent)
    got = {name: arrival.headers.get(name) for name in ("Tenant", "tenant")}
    assert got == {"Tenant": "a", "tenant": "b"}, f"they arrived as {got}"


@check("repeated_headers")
async def repeated_header(trial: Trial) -> None:
    """A header given three times arrives three times, in order."""
    sent = trial.envelope(b"-", headers=[("x", "1"), ("y", "-"), ("x", "2"), ("x", "1")])
    arrival = await there_and_back(trial, sent)
    got = arrival.headers.get_all("x")
    assert got == ["1", "2", "1"], f"1, 2, 1 arrived as {got}"


@check()
async def context_headers(trial: Trial) -> None:
    """The trace context arrives byte for byte, beside the application's headers."""
    context = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "linkbus=1,vendor=a:b",
    }
    sent = trial.envelope(b"-", headers={"tenant": "a"}, context=context)
    arrival = await there_and_back(trial, sent)
    for name, value in {**context, "tenant": "a"}.items():
        got = arrival.headers.get_all(name)
        assert got == [value], f"the header {name!r} was {value!r} and arrived as {got!r}"


@check()
async def no_context_of_its_own(trial: Trial) -> None:
    """A message without trace context arrives without one: the transport adds none."""
    arrival = await there_and_back(trial, trial.envelope(b"-", headers={"tenant": "a"}))
    names = {name.lower() for name in arrival.headers}
    added = sorted(names & {"traceparent", "tracestate", "baggage"})
    assert not added, f"nobody gave a context, and these headers arrived: {added}"


@check()
async def lineage_header(trial: Trial) -> None:
    """What linkbus carries in its own header arrives, beside what the transport puts there."""
    sent = trial.envelope(b"-", headers={"linkbus": '{"origin":{"source":"orders"}}'})
    arrival = await there_and_back(trial, sent)
    origin = carried(arrival.headers).get("origin")
    assert origin == {"source": "orders"}, f"the header `linkbus` arrived with origin {origin!r}"
    assert arrival.id == sent.id, f"the id {sent.id} arrived as {arrival.id}"


@check()
async def spoofed_header(trial: Trial) -> None:
    """A header `linkbus` that is malformed changes nothing: the message arrives as usual."""
    sent = trial.envelope(b"body", key="42", headers={"linkbus": '{"id": ['})
    arrival = await there_and_back(trial, sent)
    got = arrival.body, arrival.key
    assert got == (b"body", "42"), f"body and key arrived as {got!r}"


@check("max_headers")
async def as_many_headers_as_allowed(trial: Trial) -> None:
    """A message with max_headers headers, and trace context too, arrives with all of them."""
    names = [f"h{number}" for number in range(min(trial.capabilities.max_headers or 0, 100))]
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    sent = trial.envelope(b"-", key="42", headers=dict.fromkeys(names, "v"), context=context)
    arrival = await there_and_back(trial, sent)
    missing = [name for name in names if arrival.headers.get(name) != "v"]
    assert not missing, f"of {len(names)} headers, these did not arrive: {missing}"


@check()
async def unicode_key(trial: Trial) -> None:
    """A key beyond ASCII arrives unchanged."""
    await same_key(trial, "Grüße №7 🧾")


@check()
async def binary_key(trial: Trial) -> None:
    """A key that is no UTF-8 arrives byte for byte."""
    await same_key(trial, BINARY.decode("utf-8", "surrogateescape"))


@check()
async def no_key(trial: Trial) -> None:
    """A message without a key arrives without one."""
    await same_key(trial, None)


@check()
async def empty_key(trial: Trial) -> None:
    """An empty key arrives as an empty key, not as none."""
    await same_key(trial, "")
