"""Every fault of an option has its sentence, and all of them come at once."""

# ruff: noqa: E501 - sentences that a user reads are asserted whole, one case a line

from __future__ import annotations

import pytest

from tests.unit.options_reader import faults, read


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--model-version x", "--model-version: 'x' is not a whole number. To do: leave it out for the version that Triton chooses."),
        ("--model-version 0", "--model-version: '0': versions start at 1. To do: leave it out for the version that Triton chooses."),
        ("-b 0", "--batch-size: a batch size of 0 is not possible. To do: write for example 8, or 1,8, or 1:16:5."),
        ("-b 1.5", "--batch-size: '1.5' is not a whole number. To do: write for example 8, or 1,8, or 1:16:5."),
        ("--concurrency-range 0:4", "--concurrency-range: a concurrency of 0 is not possible. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--concurrency-range 9:4", "--concurrency-range: '9:4': the end 4 lies before the start 9. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--concurrency-range 1:4:0", "--concurrency-range: '1:4:0': the step is 0. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--request-rate-range 0", "--request-rate-range: a rate of 0/s is not above 0. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range=-5", "--request-rate-range: '-5' is not a number. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 0%", "--request-rate-range: a rate of 0 % is not above 0. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 1e10", "--request-rate-range: a rate of 1e+10 is too large. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 50%", "--request-rate-range: 50% is a share of the best closed-loop rate, and no concurrency is given. To do: give --concurrency-range too, or rates per second."),
        ("--request-distribution gauss", "--request-distribution: 'gauss' is unknown. To do: write poisson or constant."),
        ("--warm-up x", "--warm-up: 'x' is not a duration: a number with ns, us, ms, s, m or h, such as 500ms or 5s. To do: write for example 500ms or 5s; a bare number is seconds."),
        ("-p 0.5", "--measurement-interval: '0.5' is shorter than 1 ms. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("-p 500h", ""),
        ("-p 9000h", "--measurement-interval: '9000h' is longer than a year. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("--latency-threshold 0", "--latency-threshold: '0' is not above 0. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("--request-timeout 0", "--request-timeout: '0' is not above 0. To do: write for example 500ms or 5s; a bare number is seconds."),
        ("--batch-mix 1=80,8", "--batch-mix: '8' has no weight. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=0,8=1", "--batch-mix: '1=0': the weight is not above 0. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=-2", "--batch-mix: '-2' is not a number. To do: write for example 1=80,8=20."),
        ("--batch-mix 0=2", "--batch-mix: 0 is less than 1. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=2,1=3", "--batch-mix: '1=2,1=3': a batch size stands in it twice. To do: write for example 1=80,8=20."),
        ("--shape-mix IN:1x64", "--shape-mix: 'IN:1x64' has no weight. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape-mix IN:1=1,IN:1=2", "--shape-mix: 'IN:1=1,IN:1=2': a shape stands in it twice. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape-mix A:1=1,B:1=2", "--shape-mix: 'A:1=1,B:1=2': every entry must set the same inputs. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape IN", "--shape: 'IN' is not NAME:shape. To do: write for example --shape IN:1,64."),
        ("--shape IN:0,3", "--shape: 'IN:0,3': a dimension is less than 1. To do: write for example --shape IN:1,64."),
        ("--shape IN:1 --shape IN:2", "--shape: 'IN:1,IN:2': an input stands in it twice. To do: write for example --shape IN:1,64."),
        ("--shape IN:1,x", "--shape: 'IN:1,x': a dimension is not a whole number. To do: write for example --shape IN:1,64."),
        ("--input-data file.json", "--input-data: 'file.json' is unknown. To do: write random or zero."),
        ("--string-length x", "--string-length: 'x' is not a whole number. To do: write a whole number."),
        ("--input-count 0", "--input-count: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--max-in-flight 0", "--max-in-flight: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--connections 0", "--connections: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--connections 3000000000", "--connections: 3000000000 is too large. To do: write a whole number from 1 on."),
        ("--seed 1.5", "--seed: '1.5' is not a whole number. To do: write a whole number below 2^63."),
        ("--seed 999999999999999999999", "--seed: '999999999999999999999' is not a whole number. To do: write a whole number below 2^63."),
        ("-u 0", "--users: 0 is less than 1. To do: give a number of users from 1 on."),
        ("-u 4 --concurrency-range 1:4", "--users: -u 4 asks for one step, a range asks for its own. To do: leave out -u, or the range, or write --concurrency-range 4."),
        ("-u 4 --request-rate-range 5", "--users: -u 4 asks for one step, a range asks for its own. To do: leave out -u, or the range, or write --concurrency-range 4."),
        ("-r 4 --concurrency-range 1:4", "--spawn-rate: -r is how fast Locust starts the users of -u, and a range has no use for it. To do: leave out -r (Perf Analyzer's -r, --max-trials, does not exist here)."),
        ("-r 20 -b 8", "--spawn-rate: -r is how fast Locust starts the users of -u, which is not given. To do: leave out -r (Perf Analyzer's -r, --max-trials, does not exist here)."),
        ("-u 4 -b 1,8", "--batch-size: a step at -u lasts until -t, so there is no second batch size. To do: give one batch size, or --concurrency-range 4 instead of -u."),
        ("-u 4 -p 2s", "--measurement-interval: a step at -u lasts until -t. To do: give -t, or --concurrency-range 4 instead of -u."),
        ("-b 1 --batch-mix 1=1", "--batch-mix: the batch size is either drawn (--batch-mix) or measured in turn (--batch-size). To do: leave out one of the two."),
        ("--shape IN:1 --shape-mix IN:1=1,IN:2=1", "--shape: the shape of 'IN' is drawn by --shape-mix. To do: leave it out of one of the two."),
        ("-H http://server:8000", "--host: http:// is an HTTP address, and requests go by gRPC. To do: give Triton's gRPC address as HOST:8001."),
        ("-H https://server", "--host: https:// is an HTTP address, and requests go by gRPC. To do: give Triton's gRPC address as HOST:8001."),
        ("-H unix://server", "--host: unix:// is unknown. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server:x", "--host: 'server:x': 'x' is not a port. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server:70000", "--host: 'server:70000': '70000' is not a port. To do: give Triton's gRPC address as HOST:8001."),
        ("-H ::1", "--host: '::1': write an IPv6 address in brackets, as in [::1]:8001. To do: give Triton's gRPC address as HOST:8001."),
        ("-H :8001", "--host: ':8001' has no host. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server/path", "--host: it is not HOST:PORT. To do: give Triton's gRPC address as HOST:8001."),
        ("-H grpc://me:secret@server", "--host: it is not HOST:PORT. To do: give Triton's gRPC address as HOST:8001."),
    ],
)  # fmt: skip
def test_each_fault_has_its_sentence(line: str, fault: str) -> None:
    if fault:
        assert faults(line) == [fault]
    else:
        read(line)


def test_all_faults_come_at_once() -> None:
    found = faults(
        "-b 0 --concurrency-range 4:1 --seed x -p 0 -H http://a:8000", {"input_count": 0, "modle": "x"}
    )
    assert [line.split(":")[0] for line in found] == [
        "--host",
        "--batch-size",
        "--concurrency-range",
        "--measurement-interval",
        "input_count of the user class",
        "--seed",
        "modle of the user class",
    ]
    assert found[-1] == "modle of the user class: there is no such option. To do: write model."
