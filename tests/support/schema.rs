//! As much of JSON Schema as `schemas/change.schema.json` uses.

use serde_json::Value;

use super::{Context, Result, bail, ensure};

/// Checks a value against a schema file's text.
///
/// # Errors
/// Where it differs; also for a word of the schema that is not known here.
pub fn check(schema: &Value, value: &Value) -> Result<()> {
    part(schema, schema, value)
}

fn part(root: &Value, schema: &Value, value: &Value) -> Result<()> {
    for (word, rule) in schema.as_object().context("a schema")? {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path.and_then(|path| root.pointer(path)).context("a $ref")?;
                part(root, target, value)?;
            }
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let fits = names.iter().any(|name| is(name.as_str().unwrap_or_default(), value));
                ensure!(fits, "{value} is no {rule}");
            }
            "enum" => {
                let known = rule.as_array().is_some_and(|all| all.contains(value));
                ensure!(known, "{value} is none of {rule}");
            }
            "minimum" => {
                ensure!(value.as_f64() >= rule.as_f64() || !value.is_number(), "{value}");
            }
            "minLength" | "maxLength" => {
                let Some(text) = value.as_str() else { continue };
                let (len, limit) = (text.len() as u64, rule.as_u64().context("a number")?);
                let fits = if word == "minLength" { len >= limit } else { len <= limit };
                ensure!(fits, "{value}: {word}");
            }
            "required" => {
                for name in rule.as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap_or_default();
                    ensure!(value.get(name).is_some() || !value.is_object(), "no {name}");
                }
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|one| part(root, rule, one))?;
            }
            "properties" | "additionalProperties" => {
                for (name, one) in value.as_object().into_iter().flatten() {
                    let named = schema.get("properties").and_then(|all| all.get(name));
                    let rest = schema.get("additionalProperties");
                    let rule = named.or(rest.filter(|rest| rest.is_object()));
                    ensure!(rule.is_some() || rest != Some(&Value::Bool(false)), "unknown {name}");
                    rule.map_or(Ok(()), |rule| part(root, rule, one))
                        .with_context(|| name.clone())?;
                }
            }
            unknown => bail!("{unknown} is not known to this check"),
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let schema: Value =
        serde_json::from_str(include_str!("../../schemas/change.schema.json")).expect("JSON");
    let good = serde_json::json!({
        "token": "aYBlseQAAAAMAAAAAEtaHAn3hhcw", "lsn": 1, "timestamp": "1.0", "op": "insert",
        "table": { "database": "d", "name": "t" }, "before": null,
        "after": { "a": 1, "b": { "base64": "AA==" }, "c": [1.5] },
    });
    check(&schema, &good).expect("fits");
    for (pointer, bad) in [
        ("/token", "short".into()),
        ("/lsn", 0.into()),
        ("/op", "merge".into()),
        ("/table/name", 3.into()),
        ("/after/a", true.into()),
        ("/after/b", serde_json::json!({ "hex": "00" })),
    ] {
        let mut wrong = good.clone();
        *wrong.pointer_mut(pointer).expect("there") = bad;
        assert!(check(&schema, &wrong).is_err(), "{pointer}");
    }
}
