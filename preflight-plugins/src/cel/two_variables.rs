//! Loops with two variables: place and item of a list, or key and value of a map
//! (`ext/comprehensions.go` of cel-go, v0.26).

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::Value as Cel;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::objects::Map;

use super::eval::{Scope, key, known, pairs, wrong};
use super::operators::either;
use super::{Evaluated, Machine, Stop};

impl Machine<'_, '_> {
    /// Such a loop; `None` where the call is none.
    pub(super) fn two_variables(&self, call: &CallExpr, scope: Option<&Scope<'_>>) -> Option<Evaluated> {
        let target = call.target.as_deref()?;
        let [one, two, rest @ ..] = call.args.as_slice() else { return None };
        let (Expr::Ident(one), Expr::Ident(two)) = (&one.expr, &two.expr) else { return None };
        let (condition, tree) = match (call.func_name.as_str(), rest) {
            ("all" | "exists" | "existsOne" | "exists_one", [tree])
            | ("transformList" | "transformMap" | "transformMapEntry", [tree]) => (None, tree),
            ("transformList" | "transformMap" | "transformMapEntry", [condition, tree]) => {
                (Some(condition), tree)
            }
            _ => return None,
        };
        let run = || {
            let whole = self.eval(target, scope)?;
            let each = |work: &mut dyn FnMut(&Cel, Evaluated) -> Result<bool, Stop>| {
                for (place, item) in pairs(&whole)? {
                    let outer = Scope { name: one, value: Ok(place.clone()), around: scope };
                    let inner = Scope { name: two, value: known(item, two), around: Some(&outer) };
                    if let Some(condition) = condition {
                        match self.eval(condition, Some(&inner))? {
                            Cel::Bool(true) => {}
                            Cel::Bool(false) => continue,
                            other => return Err(wrong("a condition is", &other)),
                        }
                    }
                    if !work(&place, self.eval(tree, Some(&inner)))? {
                        break;
                    }
                }
                Ok(())
            };
            match call.func_name.as_str() {
                name @ ("all" | "exists") => {
                    let decides = name == "exists";
                    let mut running = Ok(Cel::Bool(!decides));
                    each(&mut |_, value| {
                        running = either(running.clone(), || value, decides);
                        Ok(running != Ok(Cel::Bool(decides)))
                    })?;
                    running
                }
                "existsOne" | "exists_one" => {
                    let mut count = 0_u32;
                    each(&mut |_, value| match value? {
                        Cel::Bool(bool) => {
                            count += u32::from(bool);
                            Ok(true)
                        }
                        other => Err(wrong("a condition is", &other)),
                    })?;
                    Ok(Cel::Bool(count == 1))
                }
                "transformList" => {
                    let mut items = Vec::new();
                    each(&mut |_, value| {
                        items.push(value?);
                        Ok(true)
                    })?;
                    Ok(Cel::List(Arc::new(items)))
                }
                name => {
                    let mut fields = HashMap::new();
                    each(&mut |place, value| {
                        let value = value?;
                        if name == "transformMap" {
                            fields.insert(key(place)?, value);
                            return Ok(true);
                        }
                        let Cel::Map(entry) = &value else { return Err(wrong("an entry is", &value)) };
                        for (key, value) in entry.map.iter() {
                            if fields.insert(key.clone(), value.clone()).is_some() {
                                return Err(Stop::error("insert failed: key already exists"));
                            }
                        }
                        Ok(true)
                    })?;
                    Ok(Cel::Map(Map { map: Arc::new(fields) }))
                }
            }
        };
        Some(run())
    }
}
