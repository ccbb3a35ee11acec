//! Tags that do not lead to what they led to.

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::release::Live;
use preflight_core::{Context, Examination, Remediation, Subject, view};
use serde::Deserialize;

use super::TAG_MOVED;
use super::hub::Hub;
use super::images::OF_DIGEST;
use super::inquiry::Inquiry;
use super::uses::Use;
use crate::registry::Manifest;
use crate::registry::reference::Reference;

/// What is looked at of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    status: Status,
}

view!(Pod: namespaced "" "v1" "pods" "Pod");

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
}

pub(super) async fn examine(
    check: &Examination,
    context: &Context,
    hub: &Hub,
    uses: &[Use<'_>],
    inquiries: &[Inquiry],
) {
    let mut rule = check.rule(&TAG_MOVED);
    let remedy = |image: &Reference| {
        Remediation::new("Pin the digest that is meant, or use a tag that stays").command(hub.skopeo(
            OF_DIGEST,
            &image.registry,
            &image.to_string(),
        ))
    };
    let pinned = uses.iter().zip(inquiries).filter_map(|(used, inquiry)| {
        let image = used.reference.as_ref().ok().filter(|image| image.digest.is_some())?;
        Some((used, image, image.tag.as_deref()?, inquiry.found()?))
    });
    let asking = pinned.map(|(used, image, tag, found)| async move {
        (used, image, tag, found.resolved.digest.clone(), found.source.tag(tag).await)
    });
    for (used, image, tag, digest, now) in join_all(asking).await {
        match now {
            // Whoever pins does not need the tag.
            Some(Ok(now)) if now.digest != digest => {
                rule.examined_once(used.image());
                let message = format!("{}: the tag {tag} now leads to {}", used.text, now.digest);
                let tag_only = Reference { digest: None, ..image.clone() };
                rule.warn(used.subject(), message, remedy(&tag_only));
            }
            _ => rule.examined_once(used.image()),
        }
    }
    running(check, context, uses, inquiries, &mut rule, &remedy).await;
    rule.conclude("images with a digest, or running already");
}

/// Images that run already under the same tag.
async fn running(
    check: &Examination,
    context: &Context,
    uses: &[Use<'_>],
    inquiries: &[Inquiry],
    rule: &mut preflight_core::RuleCheck<'_>,
    remedy: &impl Fn(&Reference) -> Remediation,
) {
    let live = |used: &&Use<'_>| matches!(used.planned.live, Live::Present(_));
    let namespaces: BTreeSet<&str> = uses.iter().filter(live).map(Use::namespace).collect();
    if namespaces.is_empty() {
        return;
    }
    let Ok(cluster) = context.cluster().await else { return };
    let lists = join_all(namespaces.iter().map(|namespace| cluster.list_in::<Pod>(namespace))).await;
    let mut told = BTreeSet::new();
    for (namespace, pods) in namespaces.iter().zip(lists) {
        let Some(pods) = check.need(&[&TAG_MOVED], pods) else {
            continue;
        };
        for (used, inquiry) in
            uses.iter().zip(inquiries).filter(|(used, _)| used.namespace() == *namespace && live(used))
        {
            let (Ok(image), Some(found)) = (&used.reference, inquiry.found()) else {
                continue;
            };
            if image.digest.is_some() || !told.insert((namespace, image)) {
                continue;
            }
            // A runtime tells the digest of what it pulled: the index's, or that of the platform's manifest.
            let mut known = BTreeSet::from([found.resolved.digest.as_str()]);
            if let Manifest::Index(entries) = &found.resolved.manifest {
                known.extend(entries.iter().map(|(_, digest)| digest.as_str()));
            }
            let containers = pods.iter().flat_map(|(_, _, pod)| &pod.status.container_statuses);
            let same =
                containers.filter(|container| Reference::parse(&container.image).as_ref() == Ok(image));
            let digests =
                same.filter_map(|container| container.image_id.rsplit_once('@').map(|(_, digest)| digest));
            let mut examined = false;
            for digest in digests {
                examined = true;
                if !known.contains(digest) {
                    let subject = Subject::at(&used.planned.object, &used.path);
                    let message = format!(
                        "{} runs in {namespace} as {digest}, and now leads to {}",
                        used.text, found.resolved.digest
                    );
                    rule.warn(subject, message, remedy(image));
                    break;
                }
            }
            if examined {
                rule.examined_once(used.image());
            }
        }
    }
}
