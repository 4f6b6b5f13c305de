#!/usr/bin/python3
"""Drives a window by its accessible names, over AT-SPI: what a screen reader sees, this presses.

    drive.py [--app NAME] [--timeout S] COMMAND [ARGUMENT...]

    wait ROLE NAME       waits for a widget whose name contains NAME (ROLE "-" is any role)
    press ROLE NAME      waits for it, then does its first action (a click)
    gone ROLE NAME       waits until there is none
    dump                 prints the whole tree: depth, role, name, states

Role names differ between versions of AT-SPI ("push button", later "button"): prefer "-" where the name is enough.
Egui's text fields take no text over AT-SPI: press them, then type with xdotool.

Ends with 0, or with 1 and the tree that was there when the time was over. Run it inside the session that has the window
(dbus-run-session); `--enable` tells that session's programs that somebody listens, and must come before they start.
Uses the system's Python: the bindings are a system package (python3-gi, gir1.2-atspi-2.0).
"""

import argparse
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

# A tree deeper or larger than this is a loop, not a window.
MAX_DEPTH = 60
MAX_NODES = 20000


def enable():
    """Sets org.a11y.Status IsEnabled, without which winit programs export nothing."""
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)
    wanted = GLib.Variant("(ssv)", ("org.a11y.Status", "IsEnabled", GLib.Variant("b", True)))
    bus.call_sync(
        "org.a11y.Bus", "/org/a11y/bus", "org.freedesktop.DBus.Properties", "Set", wanted, None,
        Gio.DBusCallFlags.NONE, 20000, None,
    )


def nodes(app_name):
    """Every widget of the programs called app_name (all if empty): (depth, widget). One that vanishes is passed over."""
    desktop = Atspi.get_desktop(0)
    stack = []
    for i in range(desktop.get_child_count()):
        try:
            app = desktop.get_child_at_index(i)
            if app is not None and (not app_name or app_name.lower() in (app.get_name() or "").lower()):
                stack.append((0, app))
        except GLib.Error:
            continue
    count = 0
    while stack and count < MAX_NODES:
        depth, node = stack.pop()
        count += 1
        yield depth, node
        if depth >= MAX_DEPTH:
            continue
        try:
            children = [node.get_child_at_index(i) for i in range(node.get_child_count())]
        except GLib.Error:
            continue
        stack.extend((depth + 1, child) for child in reversed(children) if child is not None)


def described(node):
    """Role, name and the states that matter; empty strings for one that vanished."""
    try:
        states = node.get_state_set()
        shown = [s.value_nick for s in (Atspi.StateType.SENSITIVE, Atspi.StateType.FOCUSED, Atspi.StateType.CHECKED) if states.contains(s)]
        return node.get_role_name() or "", node.get_name() or "", shown
    except GLib.Error:
        return "", "", []


def find(app_name, role, name):
    """The first widget that fits; an exact name goes before one that only contains it."""
    partly = None
    for _, node in nodes(app_name):
        node_role, node_name, _ = described(node)
        if role != "-" and node_role != role:
            continue
        if node_name == name:
            return node
        if partly is None and name in node_name:
            partly = node
    return partly


def dump(app_name, out):
    """Prints the tree."""
    for depth, node in nodes(app_name):
        role, name, states = described(node)
        print(f"{'  ' * depth}{role} {name!r} {' '.join(states)}", file=out)


def act(node):
    """Does the widget's first action, usually its click."""
    if Atspi.Action.get_n_actions(node) < 1:
        raise RuntimeError("it has no action")
    if not Atspi.Action.do_action(node, 0):
        raise RuntimeError("its action was refused")


def until(deadline, look):
    """Looks four times a second until it sees something or the time is over."""
    while True:
        seen = look()
        if seen or time.monotonic() > deadline:
            return seen
        # AT-SPI answers from a cache that only a turn of its main loop refreshes.
        context = GLib.MainContext.default()
        while context.pending():
            context.iteration(False)
        time.sleep(0.25)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="", help="part of the program's accessible name; without it every program")
    parser.add_argument("--timeout", type=float, default=30, help="seconds (default: 30)")
    parser.add_argument("--enable", action="store_true", help="switch accessibility on in this session, and end")
    parser.add_argument("command", nargs="?", choices=["wait", "press", "gone", "dump"])
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    if given.enable:
        enable()
        return 0
    wanted = {"wait": 2, "press": 2, "gone": 2, "dump": 0}.get(given.command)
    if wanted is None or len(given.arguments) != wanted:
        parser.error(f"{given.command or 'a command'}: {wanted if wanted is not None else 'one of four'} arguments expected")
    if given.command == "dump":
        dump(given.app, sys.stdout)
        return 0
    role, name = given.arguments[:2]
    deadline = time.monotonic() + given.timeout
    if given.command == "gone":
        if until(deadline, lambda: find(given.app, role, name) is None):
            return 0
        failure = "is still there"
    else:
        node = until(deadline, lambda: find(given.app, role, name))
        failure = "did not appear"
        if node:
            try:
                if given.command == "press":
                    act(node)
                print(" ".join(described(node)[:2]))
                return 0
            except (RuntimeError, GLib.Error) as error:
                failure = f"could not be used: {error}"
    print(f"error: {role} {name!r} {failure} within {given.timeout:g} s. What there is:", file=sys.stderr)
    dump(given.app, sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
