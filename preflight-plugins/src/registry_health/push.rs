//! May one push to the repositories to which the environment wants to push?

use futures::future::join_all;
use preflight_core::{Examination, Remediation, Subject};

use super::hub::Hub;
use super::{OF_PUSH, PUSH_PERMISSION, PUSH_STORAGE, UPLOAD_LEFT};
use crate::registry::Push;
use crate::registry::reference::Reference;

pub(super) async fn examine(check: &Examination, hub: &Hub) {
    let wanted: Vec<(&str, &str)> = hub
        .registries
        .0
        .iter()
        .flat_map(|(registry, entry)| {
            entry.push.iter().map(|repository| (registry.as_str(), repository.as_str()))
        })
        .collect();
    if hub.offline && !wanted.is_empty() {
        return check.set_aside(OF_PUSH, "--offline");
    }
    let (mut permission, mut storage, mut left) =
        (check.rule(&PUSH_PERMISSION), check.rule(&PUSH_STORAGE), check.rule(&UPLOAD_LEFT));
    let trying = wanted.iter().map(|(registry, repository)| async move {
        let image = Reference {
            registry: (*registry).to_owned(),
            repository: (*repository).to_owned(),
            tag: None,
            digest: None,
        };
        let credential = hub.own_credential(&image).await?;
        let client = hub.client(registry, false);
        client.try_push(repository, credential.as_ref()).await.map_err(|trouble| trouble.to_string())
    });
    for ((registry, repository), outcome) in wanted.iter().zip(join_all(trying).await) {
        let place = format!("{registry}/{repository}");
        let subject = || Subject::new(format!("repository {place}"));
        let free = |what: &str| Remediation::new(what.to_owned()).command(hub.curl(registry));
        match outcome {
            Err(why) => {
                check.unknown(OF_PUSH, format!("whether one may push to {place}: {why}"), "ask again");
                continue;
            }
            Ok(Push::Refused { words }) => {
                permission.examined();
                permission.fail(
                    subject(),
                    format!("One may not push to {place}: {words}"),
                    Remediation::new("Sign in with an account that may push")
                        .command(format!("docker login {registry}")),
                );
                // Whether there is room, only who may push is told.
                check.blocked(
                    &[&PUSH_STORAGE],
                    &PUSH_PERMISSION,
                    format!("{place} takes no pushes from here"),
                );
                continue;
            }
            Ok(Push::NoRepository) => {
                permission.examined();
                permission.fail(
                    subject(),
                    format!("There is no repository {place}, and the registry makes none by itself"),
                    Remediation::new("Create the repository in the registry first"),
                );
                check.blocked(&[&PUSH_STORAGE], &PUSH_PERMISSION, format!("there is no repository {place}"));
                continue;
            }
            Ok(Push::ReadOnly { words }) => storage.fail_for_now(
                subject(),
                format!("{registry} is read-only for now: {words}"),
                free("Wait until its maintenance is over"),
            ),
            Ok(Push::Full { words }) => storage.fail(
                subject(),
                format!("{registry} has no room left: {words}"),
                free("Free space in the registry: delete old images and collect garbage"),
            ),
            Ok(Push::Quota { words }) => storage.fail(
                subject(),
                format!("A quota of {registry} is used up: {words}"),
                free("Delete old images, or raise the project's quota"),
            ),
            Ok(Push::Left { why }) => {
                left.warn(
                    subject(),
                    format!(
                        "The upload that was started in {place} to try pushing may still be there: {why}"
                    ),
                    Remediation::new("Leave it: it is empty, and registries purge such uploads"),
                );
            }
            Ok(Push::Possible) => {}
        }
        permission.examined();
        storage.examined();
        left.examined();
    }
    permission.conclude("repositories to push to");
    storage.conclude("repositories to push to");
    left.conclude("repositories to push to");
}
