//! Checkpoints: those that others saved come in, those that are there go out, and nothing changes on the way.

use crate::support::Sandbox;
use insta::assert_snapshot;
use serde_json::json;
use std::fs;

/// A safetensors file with a weight of two numbers and a bias.
pub(crate) fn weights(value: f32) -> Vec<u8> {
    let header = r#"{"w.bias":{"dtype":"F16","shape":[1],"data_offsets":[8,10]},"w.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    let numbers = [value, -value].map(f32::to_le_bytes).concat();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers, &[0, 0x3c]].concat()
}

/// What PyTorch saved: model, optimizer, numbers.
const TRAINING: &[u8] =
    include_bytes!("../../../ontogeny_import/tests/fixtures/checkpoints/training.pt");
const MODULE: &[u8] =
    include_bytes!("../../../ontogeny_import/tests/fixtures/checkpoints/module.pt");

fn series() -> Sandbox {
    let sandbox = Sandbox::empty();
    for step in [0, 100, 200] {
        sandbox.write(&format!("nets/step{step}.safetensors"), &weights(1.0 + step as f32));
    }
    sandbox
}

#[test]
fn checkpoints_are_imported_listed_and_measured() {
    let sandbox = series();
    sandbox.write("nets/notes.md", b"hello");
    sandbox.write("nets/best.safetensors", &weights(9.0));
    // How much is stored is the codec's affair.
    let said = sandbox.run("checkpoints import nets").ok();
    for part in [
        "run nets: 3 checkpoints imported, steps 0 to 200, 2 tensors each, 30 B stored in ",
        "1 file of checkpoints left out, because their names tell no step: nets/best.safetensors\n",
        "1 file in no known format: nets/notes.md\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_snapshot!(sandbox.run("checkpoints import nets").ok(), @r"
    run nets: 0 checkpoints imported, 3 already there, steps 0 to 200, 2 tensors each
    1 file of checkpoints left out, because their names tell no step: nets/best.safetensors
    1 file in no known format: nets/notes.md
    ");
    let listed = sandbox.run("checkpoints ls nets").ok();
    assert!(listed.starts_with("step  tensors  raw   stored"), "{listed}");
    assert!(
        listed.contains("\n 200        2  10 B  ") && listed.ends_with("77c3a19a9687\n"),
        "{listed}"
    );
    let json = sandbox.run("checkpoints ls nets --json").json();
    assert_eq!(
        json[2]["tensors"][0],
        json!({"name": "w.bias", "dtype": "f16", "shape": [1], "raw_bytes": 2})
    );
    assert_eq!(json[2]["extra"]["imported"]["counts"], "steps");
    let source = &json[2]["extra"]["imported"]["files"][0];
    assert_eq!(
        (&source["path"], &source["n_bytes"]),
        (&json!("nets/step200.safetensors"), &json!(140))
    );
    let shown = sandbox.run("runs show nets --json").json();
    assert_eq!(shown["manifest"]["step"], 200);
    assert_eq!(shown["manifest"]["config"]["imported"]["checkpoints"][2], *source);

    let measured = sandbox.run("checkpoints stat nets --by tensor").ok();
    for part in
        ["3 checkpoints, 30 B, stored in ", "w.weight         f32   [1, 2]  8 B", "Δ w.weight"]
    {
        assert!(measured.contains(part), "{measured}");
    }
    let stat = sandbox.run("checkpoints stat nets --steps 100.. --json").json();
    assert_eq!(stat["checkpoints"].as_array().unwrap().len(), 2);
    // From (101, -101, bias 1) to (201, -201, bias 1).
    let change = stat["checkpoints"][1]["change"]["weights"].as_f64().unwrap();
    assert!((change - (2e4_f64 / (2.0 * 101.0 * 101.0 + 1.0)).sqrt()).abs() < 1e-12, "{change}");
    assert_eq!(
        sandbox.run("checkpoints stat nets --sizes --json").json()["checkpoints"][1]["change"],
        json!({})
    );
}

#[test]
fn what_goes_out_comes_in_again_the_same() {
    let sandbox = series();
    sandbox.run("checkpoints import nets").ok();
    assert_snapshot!(sandbox.run("checkpoints export nets --steps 0..100 --to out").ok(), @r"
    step 0: 2 tensors, 10 B: out/step0/model.safetensors
    step 100: 2 tensors, 10 B: out/step100/model.safetensors
    ");
    assert_snapshot!(sandbox.run("checkpoints export nets@200 --to one/all.safetensors").ok(), @"step 200: 2 tensors, 10 B: one/all.safetensors");
    let hashes = |arguments: &str| -> Vec<(u64, String)> {
        let json = sandbox.run(arguments).json();
        let hash =
            |c: &serde_json::Value| (c["step"].as_u64().unwrap(), c["state_hash"].to_string());
        json.as_array().unwrap().iter().map(hash).collect()
    };
    sandbox.run("checkpoints import out --run again").ok();
    assert_eq!(hashes("checkpoints ls again --json"), hashes("checkpoints ls nets --json")[..2]);
    sandbox.run("checkpoints import one --run last --step-from 200").ok();
    assert_eq!(hashes("checkpoints ls last --json"), hashes("checkpoints ls nets --json")[2..]);
}

#[test]
fn a_state_is_exported_as_weights_and_the_rest() {
    let sandbox = Sandbox::with_runs();
    let said = sandbox.run("checkpoints export tiny.s0@40 --to out").ok();
    assert!(
        said.contains("out/model.safetensors") && said.contains("out/state.safetensors"),
        "{said}"
    );
    let readme = fs::read_to_string(sandbox.path("out/README.md")).unwrap();
    for part in ["# Run tiny.s0, step 40", "`optim.m/...`", "`update/...`"] {
        assert!(readme.contains(part), "{readme}");
    }
    let extra: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.path("out/extra.json")).unwrap()).unwrap();
    assert_eq!(extra["train"]["step"], 40);
    // Weights have the names of the model, and every number is there.
    let store = sandbox.store();
    let state = store.run(&crate::support::run_id("tiny.s0")).unwrap();
    let state = state.checkpoint(ontogeny_core::Step(40)).unwrap();
    let model = fs::read(sandbox.path("out/model.safetensors")).unwrap();
    let rest = fs::read(sandbox.path("out/state.safetensors")).unwrap();
    for t in &state.tensors {
        let (file, name) = match t.name.strip_prefix("params/") {
            Some(name) => (&model, name),
            None => (&rest, t.name.as_str()),
        };
        assert!(file.windows(t.bytes.len()).any(|w| w == t.bytes), "{}", t.name);
        assert!(String::from_utf8_lossy(file).contains(&format!("\"{name}\":")), "{name}");
    }
    // Without a step it is the last one.
    assert!(sandbox.run("checkpoints export tiny.s0 --to last").ok().starts_with("step 60: "));
    assert!(
        !fs::read_dir(sandbox.dir.path())
            .unwrap()
            .any(|e| { e.unwrap().file_name().to_string_lossy().starts_with(".tmp-") })
    );
}

#[test]
fn what_pytorch_saves_with_its_optimizer_comes_in() {
    let sandbox = Sandbox::empty();
    sandbox.write("out/checkpoint-1/training.pt", TRAINING);
    sandbox.run("checkpoints import out --run torch").ok();
    let extra = &sandbox.run("checkpoints ls torch --json").json()[0]["extra"];
    assert_eq!(extra["values"]["args"]["name"], "try");
    let said = sandbox.run("checkpoints export torch --to torch-out").ok();
    assert_snapshot!(said, @r"
    step 1: 2 tensors, 32 B: torch-out/model.safetensors
    step 1: 6 tensors, 72 B: torch-out/state.safetensors
    ");
}

#[test]
fn damage_is_named_and_passed_over_only_if_told() {
    let sandbox = series();
    sandbox.write("nets/step100.safetensors", &weights(0.0)[..130]);
    assert_snapshot!(sandbox.run("checkpoints import nets").fails_with(3), @r"
    error: failed to read safetensors: tensor `w.weight`: it needs bytes 130 to 138 of a file of 130; the file was cut off: nets/step100.safetensors
      help: checkpoints before it are kept; --keep-going passes over it
    ");
    // What came before it is there.
    assert_eq!(sandbox.run("checkpoints ls nets --json").json().as_array().unwrap().len(), 1);
    let said = sandbox.run("checkpoints import nets --keep-going").ok();
    assert!(
        said.starts_with("run nets: 1 checkpoint imported, 1 already there, steps 0 to 200"),
        "{said}"
    );
    assert!(said.contains("passed over: failed to read safetensors: tensor `w.weight`"), "{said}");
    sandbox.write("module/step1.pt", MODULE);
    assert_snapshot!(sandbox.run("checkpoints import module").fails_with(3), @r"
    error: failed to read torch: the content: it holds no tensor; `all of it`: `torch.nn.modules.linear.Linear` is not called, and not read: module/step1.pt
      help: checkpoints before it are kept; --keep-going passes over it
    ");
    assert_snapshot!(sandbox.run("checkpoints import module --keep-going").fails_with(3), @r"
    error: no checkpoint could be read, so nothing was imported
      caused by: failed to read torch: the content: it holds no tensor; `all of it`: `torch.nn.modules.linear.Linear` is not called, and not read: module/step1.pt
      help: checkpoints before it are kept; --keep-going passes over it
    ");
    sandbox.run("checkpoints ls module").fails_with(2);
}

#[test]
fn mistakes_are_told() {
    let sandbox = series();
    sandbox.run("checkpoints import nets").ok();
    sandbox.write("other/step100.safetensors", &weights(0.5));
    assert_snapshot!(sandbox.run("checkpoints import other --run nets").fails_with(2), @r"
    error: run nets has a checkpoint at step 100 already, with another state
      help: name another run with --run
    ");
    sandbox.write("epochs/epoch1.safetensors", &weights(0.5));
    assert_snapshot!(sandbox.run("checkpoints import epochs --run nets").fails_with(2), @r"
    error: the checkpoints of run nets are at steps, and these at epochs
      help: name another run with --run, or say where the step is with --step-from
    ");
    sandbox.write("there/x", b"");
    for (arguments, code) in [
        ("checkpoints import nowhere", 2),
        ("checkpoints import nets --step-from step", 2),
        ("checkpoints import nets --run a/b", 2),
        ("checkpoints ls nobody", 2),
        ("checkpoints export nets@7 --to out", 2),
        ("checkpoints export nets --steps 300.. --to out", 2),
        ("checkpoints export nets --steps 0..200 --to out.safetensors", 2),
        ("checkpoints export nets --to there", 2),
        ("checkpoints stat nets --by layer", 2),
    ] {
        let text = sandbox.run(arguments).fails_with(code);
        assert!(text.starts_with("error: "), "{arguments}: {text}");
    }
    assert!(!sandbox.path("out").exists());
    let trained = Sandbox::with_runs();
    trained.write("nets/step1.safetensors", &weights(0.0));
    assert_snapshot!(trained.run("checkpoints import nets --run tiny.s0").fails_with(2), @r"
    error: run tiny.s0 was trained here and takes no checkpoints of others
      help: name another run with --run
    ");
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = series();
    assert_snapshot!(sandbox.run("checkpoints import nets --dry-run").ok(), @r"
    run nets: 3 checkpoints can be read, steps 0 to 200, 2 tensors each, 30 B
    nothing was written
    ");
    assert!(!sandbox.path("ontogeny-store").exists());
}

#[test]
fn checkpoints_join_the_logs_of_their_run() {
    let sandbox = series();
    sandbox.write("a.csv", b"step,loss\n0,2.5\n100,1.5\n");
    sandbox.run("import a.csv").ok();
    sandbox.run("checkpoints import nets --run a").ok();
    assert_eq!(sandbox.run("runs show a --json").json()["manifest"]["step"], 200);
    // The logs are known still, and the readings are there.
    assert!(sandbox.run("import a.csv").ok().contains("already imported"));
    assert_eq!(
        sandbox.run("series a --json").json()["series"][0]["points"].as_array().unwrap().len(),
        2
    );
}
