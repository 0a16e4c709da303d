//! The command line, and how values on it are read.

use clap::CommandFactory;

use credit_ledger::Money;

use super::values::{amount, node, placed};
use super::*;
use crate::testing::{COMMANDS, command, parsed};

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nodes_are_read_as_they_are_shown() {
    for shown in
        ["Retail", "Retail/Online", "Retail/\"A/B Testing\"/x", "\"say \"\"hi\"\"\"/y", "\"a=1\"/z", "\"a\"\"=1\""]
    {
        let placed = placed(shown).unwrap();
        assert_eq!((placed.node.to_string().as_str(), placed.amount), (shown, None));
    }
    assert_eq!(node("a//b").unwrap_err(), "has an empty level");
    assert_eq!(node("").unwrap_err(), "no business unit is named");
    assert_eq!(node("a/b/c/d/e").unwrap_err(), "has 5 levels; at most 4");
}

#[test]
fn amounts_are_read_as_tables_show_them() {
    let money = |text: &str| text.parse::<Money>().map_err(|error| error.to_string());
    assert_eq!(amount("2,500.00"), money("2500"));
    assert_eq!(amount("-1,234,567.5"), money("-1234567.5"));
    assert_eq!(amount("2500.1234567891"), money("2500.1234567891"));
    for wrong in ["2,50", "2,5000", ",500", "1234,567", "2.500,00", "1,,000"] {
        assert_eq!(amount(wrong).unwrap_err(), "not an amount; thousands may be set apart as in 2,500.00", "{wrong}");
    }
}

#[test]
fn lots_are_read_with_amount_and_end() {
    let read = |text: &str| {
        placed(text).map(|Placed { node, amount, end_date }| (node.to_string(), amount.unwrap(), end_date))
    };
    let money = |text: &str| text.parse::<Money>().unwrap();
    assert_eq!(read("Retail/Online=3000.24"), Ok(("Retail/Online".to_owned(), money("3000.24"), None)));
    let end = "2027-08-31".parse().ok();
    assert_eq!(read("\"a=1\"/b = 1000, 2027-08-31"), Ok(("\"a=1\"/b".to_owned(), money("1000"), end)));
    assert_eq!(read("a=2,500.00,2027-08-31"), Ok(("a".to_owned(), money("2500"), end)));
    assert_eq!(read("a=2,500"), Ok(("a".to_owned(), money("2500"), None)));
    assert_eq!(read("a=1,31.08.2027").unwrap_err(), "not a date (YYYY-MM-DD)");
    let wrong = read("a=b").unwrap_err();
    assert!(wrong.ends_with("; a name that holds = needs quotes, as in '\"a=b\"'"), "{wrong}");
}

/// What is wrong with a command line, without usage and tips.
fn refusal(line: &str) -> String {
    let text = parsed(line).err().unwrap_or_else(|| panic!("{line} is accepted")).render().to_string();
    text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Names of all commands that do something, as words.
fn leaves(command: &clap::Command, above: &str, found: &mut Vec<String>) {
    let below: Vec<&clap::Command> = command.get_subcommands().collect();
    // `credits` lists, and shows one.
    if below.is_empty() || command.get_name() == "credits" {
        found.push(above.to_owned());
    }
    for command in below {
        leaves(command, format!("{above} {}", command.get_name()).trim_start(), found);
    }
}

#[test]
fn options_of_all_commands_may_stand_before_a_command_or_behind_it() {
    let options = "--config c.toml --as-of 2026-10-31 --run-id night-42 --format json --raw --width 80 --color never \
                   --no-pager -vv --log-format json";
    for line in COMMANDS {
        for line in [format!("{options} {line}"), format!("{line} {options}")] {
            let cli = parsed(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!((cli.as_of, cli.run_id.as_deref()), ("2026-10-31".parse().ok(), Some("night-42")), "{line}");
            assert_eq!((cli.format, cli.raw, cli.verbose, cli.log_format), (Format::Json, true, 2, LogFormat::Json));
            assert_eq!((cli.screen.width, cli.screen.color, cli.screen.no_pager), (Some(80), ColorWhen::Never, true));
            assert_eq!(cli.config.as_deref(), Some("c.toml".as_ref()));
        }
    }
    let mut names = Vec::new();
    leaves(&Cli::command(), "", &mut names);
    let known = names.iter().filter(|name| COMMANDS.iter().any(|line| line.starts_with(name.as_str())));
    assert_eq!((known.count(), names.len()), (COMMANDS.len(), COMMANDS.len()), "{names:?}");
}

#[test]
fn settings_are_read_from_the_environment_and_help_does_not_show_what_they_say() {
    let command = Cli::command();
    let argument = |name: &str| command.get_arguments().find(|argument| argument.get_id() == name).unwrap();
    assert_eq!(argument("config").get_env(), Some("FINOPS_CREDITS_CONFIG".as_ref()));
    assert_eq!(argument("settings").get_env(), Some("FINOPS_CREDITS_SETTINGS".as_ref()));
    assert!(argument("settings").is_hide_env_values_set(), "they may name what is nobody's business");
}

#[test]
fn dates_periods_and_instants_that_cannot_be_meant_are_refused_by_their_option() {
    for (line, said) in [
        ("queue --as-of 2026-02-30", "invalid value '2026-02-30' for '--as-of <DATE>': not a date (YYYY-MM-DD)"),
        ("queue --as-of 31.10.2026", "invalid value '31.10.2026' for '--as-of <DATE>': not a date (YYYY-MM-DD)"),
        ("queue --as-of 2026-10-31 --as-of 2026-10-30", "the argument '--as-of <DATE>' cannot be used multiple times"),
        (
            "run --as-of 2005-12-31",
            "invalid value '2005-12-31' for '--as-of <DATE>': 2005-12-31 is not in the years 2006 to 2100",
        ),
        (
            "allocate --end-date 20261-01-01",
            "invalid value '20261-01-01' for '--end-date <DATE>': not a date (YYYY-MM-DD)",
        ),
        ("check --period 2026-13", "invalid value '2026-13' for '--period <PERIOD>': not a billing period (YYYY-MM)"),
        ("lake drop-period september", "invalid value 'september' for '<PERIOD>': not a billing period (YYYY-MM)"),
        (
            "export net_cost --out a.csv --period 2026-Q5",
            "invalid value '2026-Q5' for '--period <PERIODS>': \"2026-Q5\" names no billing periods (2026-09, 2026-Q3, \
             2026, 2026-05..2026-09)",
        ),
        (
            "revoke --key id:1 --recorded-at 2026-03-05",
            "invalid value '2026-03-05' for '--recorded-at <INSTANT>': not an instant (2026-03-05T09:00:00Z)",
        ),
        (
            "revoke --key id:1 --recorded-at 1999-03-05T09:00:00Z",
            "invalid value '1999-03-05T09:00:00Z' for '--recorded-at <INSTANT>': 1999-03-05 is not in the years 2006 to 2100",
        ),
    ] {
        assert_eq!(refusal(line), said, "{line}");
    }
}

#[test]
fn instant_of_another_zone_is_recorded_in_utc() {
    let Command::Revoke(revoke) = command("revoke --key id:1 --recorded-at 2026-03-05T00:30:00+01:00") else {
        panic!()
    };
    assert_eq!(revoke.record.recorded_at.unwrap().to_string(), "2026-03-04 23:30:00");
}

#[test]
fn run_id_can_name_a_folder_and_nothing_else() {
    for id in ["night-42", "2026.10.31_a", "-x"] {
        assert_eq!(parsed(&format!("run --run-id={id}")).unwrap().run_id.as_deref(), Some(id));
    }
    let long = "x".repeat(101);
    for id in ["../x", ".hidden", "a/b", "n\u{e4}chte", &long] {
        let said = format!("invalid value '{id}' for '--run-id <ID>': only letters, digits, - _ and . may be used");
        assert_eq!(refusal(&format!("run --run-id {id}")), said);
    }
}

#[test]
fn values_that_are_not_offered_are_answered_with_those_that_are() {
    for (line, said) in [
        ("queue --format xml", "invalid value 'xml' for '--format <FORMAT>'\n  [possible values: table, json, csv]"),
        ("queue --color yes", "invalid value 'yes' for '--color <WHEN>'\n  [possible values: auto, always, never]"),
        ("queue --width 19", "invalid value '19' for '--width <N>': 19 is not in 20..=65535"),
        ("serve --port 65536", "invalid value '65536' for '--port <PORT>': 65536 is not in 0..=65535"),
        ("queu", "unrecognized subcommand 'queu'"),
        ("allocations show", "unrecognized subcommand 'show'"),
        ("queue extra", "unexpected argument 'extra' found"),
    ] {
        assert_eq!(refusal(line), said, "{line}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (line, one, other) in [
        ("allocate --dry-run --yes", "--dry-run", "--yes"),
        ("move id:1 --from 2026-09 --to A --yes --dry-run", "--yes", "--dry-run"),
        ("allocate --no-end-date --end-date 2026-12-31", "--no-end-date", "--end-date <DATE>"),
        ("detect-credits --plan --period 2026-09", "--plan", "--period <PERIOD>"),
        ("credits --columns status --wide", "--columns <COLUMN,…>", "--wide"),
        ("serve --read-only --by jane", "--read-only", "--by <WHO>"),
        ("serve --shared --no-open", "--shared", "--no-open"),
        ("serve --shared --by jane", "--shared", "--by <WHO>"),
        ("query SELECT --file report.sql", "SQL", "--file <FILE>"),
        ("revoke --key id:1 --account 111111111111", "--key <KEY>", "--account <ID>"),
    ] {
        let said = refusal(line);
        let names = said.strip_prefix("the argument '").unwrap_or_else(|| panic!("{line}: {said}"));
        assert!(names.contains(one) && names.contains(other) && names.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn what_a_command_cannot_do_without_is_named() {
    for (line, missing) in [
        ("move id:1", &["--from <PERIOD>", "--to <NODE>"][..]),
        ("move --from 2026-09 --to A", &["<KEY[:LOT]>"]),
        ("allocate --code Activate", &["--account <ID>"]),
        ("revoke --account 111111111111", &["--code <NAME>"]),
        ("export --out a.csv", &["<TABLE>..."]),
        ("export net_cost", &["--out <FILE>"]),
        ("report", &["--out <FILE>"]),
        ("query", &["<SQL|--file <FILE>>"]),
        ("allocations import", &["<FILE>"]),
        ("credits show", &["<KEY>"]),
        ("lake drop-period", &["<PERIOD>"]),
        ("completions", &["<SHELL>"]),
    ] {
        let said = refusal(line);
        let named = said.strip_prefix("the following required arguments were not provided:\n");
        let named: Vec<&str> = named.unwrap_or_else(|| panic!("{line}: {said}")).lines().map(str::trim).collect();
        assert_eq!(named, missing, "{line}");
    }
}

#[test]
fn allocation_is_read_with_all_its_lots_in_their_order() {
    let Command::Allocate(allocate) = command(
        "allocate --code Activate --account 222222222222 --to Retail=3000.24,2026-08-31 --to Retail/Online=1,000 \
         --end-date 2027-08-31 --reference INV-7 --note none --by jane --yes",
    ) else {
        panic!()
    };
    let lots: Vec<String> = allocate
        .to
        .iter()
        .map(|lot| format!("{} {} {:?}", lot.node, lot.amount.unwrap(), lot.end_date.map(|end| end.to_string())))
        .collect();
    assert_eq!(lots, ["Retail 3000.2400000000 Some(\"2026-08-31\")", "Retail/Online 1000.0000000000 None"]);
    assert_eq!((allocate.credit.code.as_deref(), allocate.credit.key), (Some("Activate"), None));
    assert_eq!((allocate.amount, allocate.end_date), (None, "2027-08-31".parse().ok()));
    assert_eq!((allocate.reference.as_deref(), allocate.record.by.as_deref()), (Some("INV-7"), Some("jane")));
    assert!(allocate.consent.yes && !allocate.consent.dry_run && !allocate.no_end_date);
}

#[test]
fn amounts_and_nodes_that_are_none_are_refused_with_what_is_wrong() {
    for (line, said) in [
        (
            "allocate --amount 2.500,00",
            "invalid value '2.500,00' for '--amount <AMOUNT>': not an amount; thousands may be set apart as in 2,500.00",
        ),
        ("allocate --amount much", "invalid value 'much' for '--amount <AMOUNT>': \"much\" is not a number"),
        ("allocate --to Retail//Web", "invalid value 'Retail//Web' for '--to <NODE>': has an empty level"),
        (
            "move id:1 --from 2026-09 --to a/b/c/d/e",
            "invalid value 'a/b/c/d/e' for '--to <NODE>': has 5 levels; at most 4",
        ),
        ("move id:1 --from 2026-09 --to A=5/", "invalid value 'A=5/' for '--to <NODE>': has an empty level"),
        (
            "allocate --to Retail=10,tomorrow",
            "invalid value 'Retail=10,tomorrow' for '--to <NODE>': not a date (YYYY-MM-DD)",
        ),
    ] {
        assert_eq!(refusal(line), said, "{line}");
    }
}

#[test]
fn lists_take_columns_and_an_order_and_credits_show_takes_neither() {
    let Command::Credits(credits) = command("credits --columns credit_key,remaining --sort -remaining,credit_key")
    else {
        panic!()
    };
    assert_eq!(credits.list.columns, ["credit_key", "remaining"]);
    assert_eq!(credits.list.sort, ["-remaining", "credit_key"]);
    let Command::Allocations(Allocations::List(list)) = command("allocations list --wide --sort node") else {
        panic!()
    };
    assert_eq!((list.wide, list.sort), (true, vec!["node".to_owned()]));
    assert!(parsed("credits show id:1 --wide").is_err() && parsed("credits --wide show id:1").is_err());
}

#[test]
fn what_is_not_said_is_as_the_help_says() {
    let cli = parsed("serve").unwrap();
    assert_eq!((cli.format, cli.log_format, cli.verbose), (Format::Table, LogFormat::Text, 0));
    assert_eq!((cli.as_of, cli.run_id, cli.raw), (None, None, false));
    assert_eq!((cli.screen.width, cli.screen.color, cli.screen.no_pager), (None, ColorWhen::Auto, false));
    let Command::Serve(serve) = cli.command else { panic!() };
    assert_eq!((serve.port, serve.shared, serve.read_only, serve.no_open, serve.by), (8765, false, false, false, None));
    let Command::Init(init) = command("init") else { panic!() };
    assert_eq!((init.dir.to_str(), init.sample), (Some("."), false));
    let Command::Run(run) = command("run") else { panic!() };
    assert_eq!((run.publish, run.notify, run.join.accept_removed_nodes), (false, None, false));
    let Command::Diff(diff) = command("diff") else { panic!() };
    assert_eq!((diff.from, diff.to), (None, None));
}

#[test]
fn only_the_jobs_make_a_lake_where_there_is_none() {
    let makers: Vec<&str> = COMMANDS.into_iter().filter(|line| command(line).makes_lake()).collect();
    let jobs = ["run", "detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "athena-check", "publish"];
    assert_eq!(makers, jobs);
}
