//! Hyper-parameters as numbers, on one axis whatever their size.

use serde_json::Value;
use std::collections::BTreeMap;

/// Near 0 as it is, beyond in proportion to the logarithm: rates of 1e-4 and widths of 4096 on one axis.
pub fn squeeze(v: f64) -> f64 {
    (v / 1e-5).asinh()
}

/// The number that was squeezed.
pub fn unsqueeze(v: f64) -> f64 {
    v.sinh() * 1e-5
}

/// The feature that holds the number of updates a run will make, where that is known.
pub(crate) const STEPS: &str = "run.steps";

/// Adds every number and truth value inside `json`, squeezed, under its path (`optimizer.lr`).
pub fn numbers(json: &Value, path: &str, out: &mut BTreeMap<String, f64>) {
    match json {
        Value::Number(n) => {
            out.extend(n.as_f64().map(|v| (path.to_owned(), squeeze(v))));
        }
        Value::Bool(b) => {
            out.insert(path.to_owned(), f64::from(u8::from(*b)));
        }
        Value::Object(fields) => {
            for (k, v) in fields {
                let inner = if path.is_empty() { k.clone() } else { format!("{path}.{k}") };
                numbers(v, &inner, out);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_found_at_any_depth() {
        let mut out = BTreeMap::new();
        numbers(&json!({"opt": {"lr": 1e-5, "nesterov": true}, "name": "x"}), "", &mut out);
        let names: Vec<&str> = out.keys().map(String::as_str).collect();
        assert_eq!(names, ["opt.lr", "opt.nesterov"]);
        assert!((out["opt.lr"] - 1.0_f64.asinh()).abs() < 1e-12);
    }
}
