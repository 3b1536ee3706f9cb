from nodes.sound.meter import Meter


def shown(meter, now):
    from rich.console import Console

    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(meter.draw(now))
    return captured.get().splitlines()


def test_the_meter_shows_each_party():
    meter = Meter("call-1  voices")
    began = meter._drawn
    meter.hear("agent", -30.0, -20.0, began)
    meter.position = 61.5
    title, agent, customer, _ = shown(meter, began)
    assert title.split() == ["call-1", "voices", "01:01.5"]
    assert (agent.count("█"), agent.split()[-2:]) == (24, ["-30.0", "dB"])
    assert "▏" in agent
    assert customer.split()[-1] == "quiet"
    assert "█" not in customer


def test_a_peak_falls_and_a_party_that_stops_is_quiet():
    meter = Meter("x")
    began = meter._drawn
    meter.hear("agent", -30.0, -6.0, began)
    marks = [shown(meter, began + after)[1].find("▏") for after in (0.0, 0.2, 0.35)]
    assert marks == sorted(marks, reverse=True)
    assert len(set(marks)) == 3
    assert shown(meter, began + 9)[1].split()[-1] == "quiet"


def test_a_single_party_of_another_name_has_its_own_line():
    meter = Meter("x")
    meter.hear("mix", -10.0, -5.0, meter._drawn)
    lines = shown(meter, meter._drawn)
    assert [line.split()[0] for line in lines[1:-1]] == ["mix"]
