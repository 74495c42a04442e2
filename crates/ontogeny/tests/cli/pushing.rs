//! `ontogeny store push`, and stores that are named by a URL.

use crate::support::Sandbox;

#[cfg(not(feature = "object-store"))]
#[test]
fn without_object_stores_a_url_is_refused_and_the_feature_named() {
    let sandbox = Sandbox::with_runs();
    for command in ["runs ls --store s3://bucket/lab", "store push s3://bucket/lab"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(sandbox.run(command).fails_with(4), @"
            error: failed to open the store: this Ontogeny was built without object stores: s3://bucket/lab
              help: build it with them: cargo install --path crates/ontogeny --features object-store
            ");
        }
    }
}

#[cfg(feature = "object-store")]
mod with_object_stores {
    use super::Sandbox;

    /// A folder for the store, as a URL.
    fn url(sandbox: &Sandbox) -> String {
        std::fs::create_dir_all(sandbox.path("bucket")).unwrap();
        format!("file://{}", sandbox.path("bucket").display())
    }

    #[test]
    fn what_is_pushed_is_read_by_the_same_commands() {
        let sandbox = Sandbox::with_runs();
        let url = url(&sandbox);
        let dry = sandbox.run(&format!("store push {url} --dry-run")).ok();
        assert!(dry.starts_with("would copy ") && dry.contains("of 2 runs to file://"), "{dry}");
        let text = sandbox.run(&format!("store push {url}")).ok();
        assert_eq!(text, dry.replace("would copy", "copied"));
        let again = sandbox.run(&format!("store push {url} --json")).json();
        assert_eq!((&again["n_files"], &again["n_objects"]), (&0.into(), &0.into()));
        let text = sandbox.run(&format!("store push {url}")).ok();
        assert_eq!(text, format!("nothing new: {url} has what is here (2 runs)\n"));
        for command in [
            "runs ls",
            "runs show tiny.s0",
            "series tiny.s1 --json",
            "checkpoints ls tiny.s0",
            "store verify",
        ] {
            let here = sandbox.run(command).ok();
            let there = sandbox.run(&format!("{command} --store {url} --cache copies")).ok();
            assert_eq!(here.replace("ontogeny-store", &url), there);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let sandbox = Sandbox::with_runs();
        let url = url(&sandbox);
        sandbox.run(&format!("store push {url}")).ok();
        let said =
            |command: &str, code| sandbox.run(command).fails_with(code).replace(&url, "<url>");
        let there = format!("--store {url} --cache copies");
        insta::assert_snapshot!(said(&format!("store gc {there}"), 4), @"
        error: failed to collect garbage: a store on an object store is only read: <url>
          help: do this with a store on disk, then copy it with `ontogeny store push URL`
        ");
        insta::assert_snapshot!(said(&format!("run skills {there}"), 4), @"
        error: failed to write: a store on an object store is only read: <url>
          help: do this with a store on disk, then copy it with `ontogeny store push URL`
        ");
        insta::assert_snapshot!(said("runs ls --store ftp://host/lab", 2), @r#"
        error: failed to understand the URL of an object store: Unable to recognise URL "ftp://host/lab": ftp://host/lab
          help: e.g. s3://bucket/lab, gs://bucket/lab, az://container/lab, file:///folder
        "#);
        let answer = sandbox.run(&format!("runs ls --store {url}/nothing --cache copies"));
        assert!(answer.fails_with(4).contains("there is none yet"));
    }

    #[test]
    fn what_is_damaged_is_not_pushed_and_ends_with_code_3() {
        let sandbox = Sandbox::with_runs();
        let url = url(&sandbox);
        let path = sandbox.path("ontogeny-store/runs/tiny.s0/manifest.json");
        std::fs::write(&path, "{").unwrap();
        let answer = sandbox.run(&format!("store push {url}"));
        assert_eq!(answer.code, 3);
        assert!(
            answer.stdout.contains("not copied: run tiny.s0: failed to read run tiny.s0: bad JSON")
        );
        assert!(answer.stderr.contains("error: 1 thing could not be copied"), "{answer:?}");
        let listed = sandbox.run(&format!("runs ls --store {url} --cache copies")).ok();
        assert!(listed.contains("tiny.s1") && !listed.contains("tiny.s0"), "{listed}");
    }
}
