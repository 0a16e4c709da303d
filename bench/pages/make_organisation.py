#!/usr/bin/env python3
"""Makes the export, the reference files and the allocations of an organisation. Same arguments, same bytes.

  make_organisation.py --out DIR [--credits 10000] [--nodes 5000] [--periods 36] [--cells 600000] [--accounts 500] [--seed 7]

Writes DIR/cur/YYYY-MM.parquet, DIR/reference/{hierarchy,cost_rules,budgets,allocations}.csv, and DIR/credits.toml for
finops-credits, as of the last day of the last period.

What a node spends on one service in one account is one line a month, and one cell; 2 % of them have no node. A credit is
applied for one to eighteen months, in each to one cell, every second credit to two, of one business unit. The newest 4 % of
the credits wait. The others are allocated, two thirds of them to products; each twentieth has two lots, each tenth no end.
How large, how many and how long: an assumption.
"""
import argparse
import calendar
import csv
import datetime as dt
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LEVELS = ("business_unit", "department", "portfolio", "product")
SERVICES = 60
NAMES = ("AWS Activate", "Migration Acceleration Program", "AWS Proof of Concept Credits", "Goodwill Credits", "AWS Lift Program")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    for name, size in {"credits": 10_000, "nodes": 5_000, "periods": 36, "cells": 600_000, "accounts": 500, "seed": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    return parser.parse_args()


def months(last, count):
    """First days of so many months, the last one included."""
    numbers = range(last.year * 12 + last.month - count, last.year * 12 + last.month)
    return [dt.date(number // 12, number % 12 + 1, 1) for number in numbers]


def hierarchy(count):
    """Paths of so many nodes, those above before those below."""
    sizes = [max(1, count // 250), max(1, count // 50), max(1, count // 8)]
    sizes.append(count - sum(sizes))
    nodes, above = [], [()]
    for level, size in zip(LEVELS, sizes):
        above = [(*above[number % len(above)], f"{level.replace('_', ' ').capitalize()} {number:04d}") for number in range(size)]
        nodes += above
    return nodes


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def levels(node):
    return [*node, *[""] * (len(LEVELS) - len(node))]


class Organisation:
    def __init__(self, size):
        self.size = size
        self.rng = np.random.default_rng(size.seed)
        self.months = months(dt.date(2026, 10, 1), size.periods)
        self.nodes = hierarchy(size.nodes)
        self.accounts = [f"{410_000_000_000 + number}" for number in range(size.accounts)]
        self.make_streams()
        self.make_credits()

    def make_streams(self):
        """What a node spends on one service in one account: node (-1: none), account, service, day of the month, usual cost."""
        size, rng = self.size, self.rng
        count = -(-size.cells // size.periods)
        unassigned = count // 50
        number = np.arange(count - unassigned)
        self.node = np.concatenate([number % size.nodes, np.full(unassigned, -1)])
        # Of one node no two are of one service; without a node, no two of one account and service.
        place, rest = number // size.nodes, np.arange(unassigned)
        if place.max() >= SERVICES or unassigned > size.accounts * SERVICES:
            raise SystemExit("too many cells for so few nodes")
        units = sorted({node[0] for node in self.nodes})
        unit = np.array([units.index(node[0]) for node in self.nodes])[number % size.nodes]
        own_accounts = size.accounts // len(units)
        account = unit * own_accounts + (number + place) % own_accounts
        self.account = np.concatenate([account, rest % size.accounts])
        self.service = np.concatenate([(number % size.nodes * 7 + place) % SERVICES, rest // size.accounts])
        self.unit = np.concatenate([unit, np.full(unassigned, -1)])
        self.day = rng.integers(1, 29, count)
        self.cost = rng.lognormal(3.6, 1.2, count)

    def make_credits(self):
        size, rng = self.size, self.rng
        count = size.credits
        with_node = np.flatnonzero(self.node >= 0)
        of_unit = {unit: np.flatnonzero(self.unit == unit) for unit in set(self.unit[with_node].tolist())}
        self.start = np.sort(rng.integers(0, size.periods, count))
        self.lasts = rng.integers(1, 19, count)
        self.home = rng.choice(with_node, count)
        self.other = np.array([rng.choice(of_unit[unit]) for unit in self.unit[self.home].tolist()])
        self.worth = np.round(rng.lognormal(6.5, 0.8, count), 2)
        self.has_id = rng.random(count) < 0.6

    def credit_name(self, credit):
        return f"{NAMES[credit % len(NAMES)]} {credit:05d}"

    def description(self, credit):
        text = f"{self.credit_name(credit)}, credit from account: {self.accounts[self.account[self.home[credit]]]}"
        return f"{text}, credit id: {10**10 + credit}" if self.has_id[credit] else text

    def write_period(self, place, month):
        size, rng = self.size, self.rng
        count = len(range(place, size.cells, size.periods))
        cost = self.cost * (0.8 + 0.4 * place / size.periods) * rng.lognormal(0, 0.2, len(self.cost))
        usage = np.arange(count)
        refunded = usage[rng.random(count) < 0.003]
        credits = np.flatnonzero((self.start <= place) & (place < self.start + self.lasts))
        twice = credits[credits % 2 == 0]
        credits, of_credits = np.concatenate([credits, twice]), np.concatenate([self.home[credits], self.other[twice]])
        credits, of_credits = credits[of_credits < count], of_credits[of_credits < count]
        applied = np.floor(self.worth[credits] / self.lasts[credits] / (2 - credits % 2) * 100) / 100
        stream = np.concatenate([usage, refunded, of_credits])
        amounts = np.concatenate([cost[usage], -0.1 * cost[refunded], -applied]).round(6)
        types = np.repeat(["Usage", "Refund", "Credit"], [len(usage), len(refunded), len(of_credits)])
        service = [f"AmazonService{number:02d}" for number in self.service[stream].tolist()]
        plain = [f"{kind} of {name}" for kind, name in zip(types[:len(usage) + len(refunded)], service)]
        start = np.datetime64(month, "ms")
        text = lambda values: pa.array(values, pa.string()).dictionary_encode()
        tags = [[("user_app", f"app-{node:05d}")] if node >= 0 else [] for node in self.node[stream].tolist()]
        pq.write_table(pa.table({
            "bill_billing_period_start_date": pa.array(np.full(len(stream), start)),
            "bill_billing_entity": text(["AWS"] * len(stream)),
            "bill_invoice_id": text([f"{month:%Y%m}01"] * len(stream)),
            "bill_payer_account_id": text([self.accounts[0]] * len(stream)),
            "line_item_usage_account_id": text([self.accounts[account] for account in self.account[stream].tolist()]),
            "line_item_usage_start_date": pa.array(start + (self.day[stream] - 1).astype("timedelta64[D]")),
            "line_item_line_item_type": text(types.tolist()),
            "line_item_product_code": text(service),
            "line_item_line_item_description": text([*plain, *map(self.description, credits.tolist())]),
            "line_item_currency_code": text(["USD"] * len(stream)),
            "line_item_unblended_cost": pa.array(amounts),
            "resource_tags": pa.array(tags, pa.map_(pa.string(), pa.string())),
        }), self.size.out / "cur" / f"{month:%Y-%m}.parquet", compression="snappy")

    def allocations(self):
        """A row for each lot."""
        rng, count = self.rng, self.size.credits - self.size.credits // 25
        amounts = self.worth[:count]
        days = self.lasts[:count] * 30 + rng.integers(1, 180, count)
        depths = rng.choice([1, 2, 3, 4], count, p=[0.04, 0.1, 0.2, 0.66])
        for credit in range(count):
            home = self.home[credit]
            node = self.nodes[self.node[home]]
            name = ["", "", f"id:{10**10 + credit}"]
            if not self.has_id[credit]:
                name = [self.credit_name(credit), self.accounts[self.account[home]], ""]
            end = "" if credit % 10 == 3 else self.months[self.start[credit]] + dt.timedelta(int(days[credit]))
            lots = [(amounts[credit], node[:depths[credit]])]
            if credit % 20 == 7:
                second = round(amounts[credit] / 4, 2)
                lots = [(amounts[credit] - second, node[:depths[credit]]), (second, node[:1])]
            for amount, at in lots:
                yield [*name, f"{amount:.2f}", "USD", end, f"REF-{credit:05d}", *levels(at)]

    def budgets(self):
        """Of business units and departments, for the last twelve months."""
        usual = {}
        for node, cost in zip(self.node.tolist(), self.cost.tolist()):
            for depth in (1, 2) if node >= 0 else ():
                if len(self.nodes[node]) >= depth:
                    at = self.nodes[node][:depth]
                    usual[at] = usual.get(at, 0) + cost
        for month in self.months[-12:]:
            for node, cost in sorted(usual.items()):
                yield [f"{month:%Y-%m}", *levels(node), "USD", f"{cost * 1.15:.0f}"]

    def write(self):
        out = self.size.out
        (out / "cur").mkdir(parents=True, exist_ok=True)
        for place, month in enumerate(self.months):
            self.write_period(place, month)
        reference = out / "reference"
        owner = lambda number, node: f"owner-{number:04d}@example.com" if len(node) < 4 else ""
        write_csv(reference / "hierarchy.csv", [*LEVELS, "owner_email"],
                  ([*levels(node), owner(number, node)] for number, node in enumerate(self.nodes)))
        write_csv(reference / "cost_rules.csv", ["rule_id", "priority", "tag_key", "tag_value", *LEVELS],
                  ([f"app-{number:05d}", 1, "user_app", f"app-{number:05d}", *levels(node)]
                   for number, node in enumerate(self.nodes)))
        write_csv(reference / "budgets.csv", ["billing_period", *LEVELS, "currency", "amount"], self.budgets())
        allocation = ["promotion_code", "account_id", "credit_key", "amount", "currency", "end_date", "reference"]
        write_csv(reference / "allocations.csv", [*allocation, *LEVELS], self.allocations())
        last = self.months[-1].replace(day=calendar.monthrange(self.months[-1].year, self.months[-1].month)[1])
        (out / "credits.toml").write_text(
            '[source]\nlocation = "cur"\n[reference]\nlocation = "reference"\n[lake]\nlocation = "lake"\n'
            f'[run]\nas_of = "{last}"\nthreads = 2\n')


if __name__ == "__main__":
    Organisation(arguments()).write()
