//! Ctrl-C: everything is saved, and the same command goes on to the same result.
#![cfg(unix)]

use crate::support::Sandbox;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn press_ctrl_c(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// Waits until a file is there; a minute is enough for any machine.
fn wait_for(path: &Path, child: &mut Child) {
    let began = Instant::now();
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended before {}", path.display());
        assert!(began.elapsed() < Duration::from_mins(1), "waited for {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts the command, presses Ctrl-C when `file` is there, and returns exit code and stderr.
fn interrupt(sandbox: &Sandbox, arguments: &str, file: &str) -> (i32, String) {
    let mut command = sandbox.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&sandbox.path(file), &mut child);
    press_ctrl_c(&child);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn law_2_an_interrupted_fork_goes_on_to_the_same_end() {
    let sandbox = Sandbox::with_runs();
    // Few checkpoints: every one of them waits for the disk.
    let change =
        "fork tiny.s0@40 --set optimizer.lr=0.01 --set record.checkpoint_every=5000 --steps 20000";
    let stopped = format!("{change} --name stopped");
    let (code, said) = interrupt(&sandbox, &stopped, "ontogeny-store/runs/stopped/manifest.json");
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("stopping at the next reading"), "{said}");
    assert!(said.contains("the same command goes on from here"), "{said}");
    let reached = sandbox.run("runs show stopped --json").json();
    assert_eq!(reached["manifest"]["status"]["state"], "open");
    assert!(reached["manifest"]["step"].as_u64().unwrap() < 20_040);

    sandbox.run(&stopped).ok();
    sandbox.run(&format!("{change} --name whole")).ok();
    let points = |run: &str| {
        sandbox.run(&format!("series {run} state.fingerprint batch.loss --json")).json()["series"]
            .clone()
    };
    assert_eq!(points("stopped"), points("whole"));
}

#[test]
fn an_interrupted_import_of_checkpoints_goes_on() {
    let sandbox = Sandbox::empty();
    for step in 0..400 {
        sandbox.write(
            &format!("nets/step{step}.safetensors"),
            &crate::checkpoints::weights(step as f32),
        );
    }
    let import = "checkpoints import nets --json";
    let first = "ontogeny-store/runs/nets/checkpoints/0.json";
    let (code, said) = interrupt(&sandbox, import, first);
    assert_eq!(code, 130, "{said}");
    let kept = sandbox.run("checkpoints ls nets --json").json().as_array().unwrap().len();
    assert!((1..400).contains(&kept), "{kept}");
    // What is there has its provenance.
    let shown = sandbox.run("runs show nets --json").json();
    let sources = &shown["manifest"]["config"]["imported"]["checkpoints"];
    assert_eq!(sources.as_array().unwrap().len(), kept);
    assert_eq!(shown["manifest"]["status"]["state"], "open");
    let again = sandbox.run(import).json();
    assert_eq!(again["already_there"].as_array().unwrap().len(), kept);
    assert_eq!(again["imported"].as_array().unwrap().len(), 400 - kept);
    assert_eq!(sandbox.run("runs show nets --json").json()["manifest"]["status"]["state"], "done");
}

#[test]
#[ignore = "minutes: conducts a whole study, twice"]
fn slow_an_interrupted_study_goes_on_to_the_same_findings() {
    let sandbox = Sandbox::empty();
    let study = "run skills --seeds 1 --threads 2";
    let first = "stopped/runs/skills-smoke-s0-n1.fit.zipf0.4-lr0.002.0/manifest.json";
    let (code, said) = interrupt(&sandbox, &format!("{study} --store stopped"), first);
    assert_eq!(code, 130, "{said}");
    let findings = |store: &str| {
        let json = sandbox.run(&format!("{study} --store {store} --json")).json();
        assert!(sandbox.path(json["report"].as_str().unwrap()).is_file());
        json["findings"].clone()
    };
    let (stopped, whole) = (findings("stopped"), findings("whole"));
    assert_eq!(stopped["headline"], whole["headline"]);
}
