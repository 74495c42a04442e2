//! Help texts, and the lists of what there is.

use crate::support::Sandbox;

const COMMANDS: [&str; 39] = [
    "run",
    "studies",
    "probes",
    "interventions",
    "runs",
    "runs ls",
    "runs show",
    "series",
    "import",
    "export",
    "checkpoints",
    "checkpoints ls",
    "checkpoints import",
    "checkpoints export",
    "checkpoints stat",
    "store",
    "store verify",
    "store du",
    "store gc",
    "store repair",
    "store migrate",
    "store push",
    "fork",
    "zoom",
    "zoom ls",
    "zoom rm",
    "lineage",
    "compare",
    "ledger",
    "ledger ls",
    "ledger verify",
    "ledger score",
    "scaling",
    "scaling fit",
    "scaling predict",
    "scaling plot",
    "scorecard",
    "report",
    "backtest",
];

#[test]
fn every_command_explains_itself_and_has_store_and_json() {
    let sandbox = Sandbox::empty();
    for command in COMMANDS {
        let help = sandbox.run(&format!("{command} --help")).ok();
        for part in ["Usage: ontogeny", "--store <PATH>", "--json", "--help"] {
            assert!(help.contains(part), "{command}: {help}");
        }
        // The first line says what it does.
        assert!(help.lines().next().unwrap().len() > 20, "{command}: {help}");
    }
}

#[test]
fn help_lists_commands_and_exit_codes() {
    let help = Sandbox::empty().run("--help").ok();
    for command in COMMANDS.iter().filter(|c| !c.contains(' ')) {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    let from = help.find("Exit codes:").unwrap();
    insta::assert_snapshot!(&help[from..], @r"
    Exit codes:
      0    done
      1    internal failure
      2    usage or configuration: an unknown name, a bad key or value, a step that does not exist
      3    data that cannot be trusted: damaged file, broken ledger, run that differs when repeated
      4    the store cannot be used: none there, not ours, newer, locked, read-only, full
      130  interrupted; everything is saved and the same command goes on from there

    Environment:
      ONTOGENY_STORE  the store, where --store is not given
      ONTOGENY_CACHE  where copies of what is read from a URL are kept, where --cache is not given
      AWS_*, GOOGLE_*, AZURE_*  credentials, region and endpoint of object stores
    ");
}

#[test]
fn without_a_command_help_is_shown_and_it_is_a_mistake() {
    let answer = Sandbox::empty().run("");
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("Usage: ontogeny"), "{}", answer.stderr);
}

#[test]
fn lists_name_everything_that_the_library_has() {
    let sandbox = Sandbox::empty();
    let listed = |command: &str| {
        let text = sandbox.run(command).ok();
        let json = sandbox.run(&format!("{command} --json")).json();
        let names: Vec<String> = (json.as_array().unwrap().iter())
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect();
        for row in json.as_array().unwrap() {
            assert!(text.contains(row["name"].as_str().unwrap()), "{text}");
            assert!(text.contains(row["summary"].as_str().unwrap()), "{text}");
        }
        names
    };
    let studies = ontogeny_lab::studies::studies().iter().map(|s| s.name);
    assert_eq!(listed("studies"), studies.collect::<Vec<_>>());
    let probes = ontogeny_probes::probes().iter().map(|p| p.spec.name);
    assert_eq!(listed("probes"), probes.collect::<Vec<_>>());
    let interventions = ontogeny_lab::interventions::interventions().iter().map(|i| i.name);
    assert_eq!(listed("interventions"), interventions.collect::<Vec<_>>());
}

#[test]
fn a_probe_has_a_manual_page() {
    let page = Sandbox::empty().run("probes set_loss").ok();
    for part in ["set_loss: ", "unit ", "needs ", "source ", "<set or group>.loss"] {
        assert!(page.contains(part), "{page}");
    }
}
