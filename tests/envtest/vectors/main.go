// Command vectors prints what Kubernetes itself says that pods request and may use at most: test vectors for
// preflight-plugins/src/capacity/requests.rs.
//
//	go run ./vectors > ../../preflight-plugins/tests/vectors/pod-requests.json
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// vector is a pod, as it is written, and the helper's figures for it.
type vector struct {
	Name string `json:"name"`
	Pod  object `json:"pod"`
	// What the scheduler looks for room for: pkg/scheduler/framework/plugins/noderesources/fit.go,
	// computePodResourceRequest.
	Requests v1.ResourceList `json:"requests"`
	// What it counts of a pod that has a node: pkg/scheduler/framework/types.go, CalculateResource.
	RunningRequests v1.ResourceList `json:"running_requests"`
	Limits          v1.ResourceList `json:"limits"`
	// What is charged to quotas: pkg/quota/v1/evaluator/core/pods.go, PodUsageFunc.
	QuotaRequests v1.ResourceList `json:"quota_requests"`
	QuotaLimits   v1.ResourceList `json:"quota_limits"`
}

type object = map[string]any
type list = []any

func main() {
	vectors := slices.Concat(specs(), statuses(), random(400))
	names := map[string]bool{}
	out := bufio.NewWriter(os.Stdout)
	for i, vector := range vectors {
		if names[vector.Name] {
			fail(fmt.Errorf("two vectors %q", vector.Name))
		}
		names[vector.Name] = true
		measure(&vector)
		line, err := json.Marshal(vector)
		fail(err)
		before := ",\n"
		if i == 0 {
			before = "[\n"
		}
		fmt.Fprintf(out, "%s%s", before, line)
	}
	fmt.Fprintln(out, "\n]")
	fail(out.Flush())
}

// measure computes the figures with the options that follow from the feature gates' defaults in 1.36:
// InPlacePodVerticalScaling, InPlacePodLevelResourcesVerticalScaling and PodLevelResources are on,
// DRANodeAllocatableResources is off.
func measure(vector *vector) {
	text, err := json.Marshal(vector.Pod)
	fail(err)
	// Each figure from a pod of its own, since quantities change as they are looked at.
	read := func() *v1.Pod {
		pod := &v1.Pod{}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(pod); err != nil {
			fail(fmt.Errorf("%s: %w", vector.Name, err))
		}
		return pod
	}
	running := resourcehelper.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}
	quota := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	vector.Requests = resourcehelper.PodRequests(read(), resourcehelper.PodResourcesOptions{})
	vector.RunningRequests = resourcehelper.PodRequests(read(), running)
	vector.Limits = resourcehelper.PodLimits(read(), resourcehelper.PodResourcesOptions{})
	vector.QuotaRequests = resourcehelper.PodRequests(read(), quota)
	vector.QuotaLimits = resourcehelper.PodLimits(read(), quota)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "vectors:", err)
		os.Exit(1)
	}
}

// specs are pods where nothing but the spec counts.
func specs() []vector {
	only := func(name string, spec object) vector { return vector{Name: name, Pod: object{"spec": spec}} }
	return []vector{
		only("no containers", object{}),
		only("lists that are null", object{"containers": nil, "initContainers": nil, "overhead": nil, "resources": nil}),
		only("maps that are null", object{
			"containers": list{object{"name": "a", "resources": object{"requests": nil, "limits": nil}}},
			"resources":  object{"requests": nil, "limits": nil}}),
		only("a quantity that is null", object{
			"containers": list{object{"name": "a", "resources": object{"requests": object{"cpu": nil, "memory": "1Gi"}}}}}),
		only("no requests", pod(of("a"), of("b"))),
		only("one container", pod(of("a", "cpu=500m memory=128Mi"))),
		only("containers add up", pod(of("a", "cpu=500m memory=128Mi"), of("b", "cpu=1 memory=1G"), of("c", "cpu=0.25"))),
		only("limits are not requests", pod(of("a", "", "cpu=1 memory=1Gi"))),
		only("limits add up", pod(of("a", "cpu=100m", "cpu=1 memory=1Gi"), of("b", "", "cpu=500m"))),
		only("a request of zero", pod(of("a", "cpu=0 memory=0", "cpu=0 memory=0"))),
		only("a negative request", pod(of("a", "cpu=-1"), of("b", "cpu=500m"))),
		only("a negative request of an init container", pod(of("a", "memory=1Mi"), initial("i", "cpu=-1"))),
		only("a negative request beside a sidecar", pod(of("a", "cpu=-1", "cpu=-1"), sidecar("s", "cpu=500m", "cpu=500m"))),
		only("an init container is smaller", pod(of("a", "cpu=1 memory=1Gi"), initial("i", "cpu=100m memory=64Mi"))),
		only("an init container is larger", pod(of("a", "cpu=1 memory=1Gi"), initial("i", "cpu=2 memory=64Mi"))),
		only("an init container asks for more kinds", pod(of("a", "cpu=1"), initial("i", "memory=64Mi example.com/gpu=1"))),
		only("init containers do not add up", pod(of("a", "cpu=1"), initial("i", "cpu=900m"), initial("j", "cpu=1100m"))),
		only("only init containers", pod(initial("i", "cpu=900m", "cpu=2"), initial("j", "cpu=800m memory=1Gi"))),
		only("a sidecar adds up", pod(of("a", "cpu=1 memory=1Gi", "cpu=2"), sidecar("s", "cpu=200m memory=32Mi", "cpu=1"))),
		only("a sidecar before an init container", pod(of("a", "cpu=1"), sidecar("s", "cpu=500m"), initial("i", "cpu=1200m"))),
		only("a sidecar after an init container", pod(of("a", "cpu=1"), initial("i", "cpu=1200m"), sidecar("s", "cpu=500m"))),
		only("an init container between sidecars", pod(of("a", "cpu=100m", "cpu=200m"), sidecar("s", "cpu=500m", "cpu=600m"),
			initial("i", "cpu=700m", "cpu=1"), sidecar("t", "cpu=800m", "cpu=2"))),
		only("an init container after two sidecars", pod(of("a", "cpu=100m memory=3Gi"), sidecar("s", "cpu=500m memory=1Gi"),
			sidecar("t", "cpu=800m"), initial("i", "cpu=700m memory=1Gi"))),
		only("only sidecars", pod(sidecar("s", "cpu=500m", "memory=1Gi"), sidecar("t", "cpu=800m memory=1Mi"))),
		only("another restart policy is no sidecar", pod(of("a", "cpu=1"), with(initial("i", "cpu=900m"), "restartPolicy", "OnFailure"))),
		only("overhead", with(pod(of("a", "cpu=1", "cpu=2 memory=1Gi")), "overhead", res("cpu=250m memory=120Mi"))),
		only("overhead without requests", with(pod(of("a")), "overhead", res("cpu=250m memory=120Mi"))),
		only("overhead and limits of zero", with(pod(of("a", "", "cpu=0 memory=1Gi")), "overhead", res("cpu=250m memory=120Mi"))),
		only("overhead over an init container", with(pod(of("a", "cpu=1"), initial("i", "cpu=3")), "overhead", res("cpu=250m"))),
		only("extended resources", pod(of("a", "example.com/gpu=2", "example.com/gpu=2"), of("b", "example.com/gpu=1 nvidia.com/gpu=4"))),
		only("ephemeral storage", pod(of("a", "ephemeral-storage=1Gi", "ephemeral-storage=2Gi"), of("b", "ephemeral-storage=500M"))),
		only("huge pages", pod(of("a", "hugepages-2Mi=64Mi memory=1Gi", "hugepages-2Mi=64Mi"), of("b", "hugepages-1Gi=1Gi"))),
		only("pod level and no containers' requests", level(pod(of("a"), of("b")), "cpu=1 memory=1Gi", "cpu=2 memory=2Gi")),
		only("pod level larger than the containers", level(pod(of("a", "cpu=100m memory=64Mi")), "cpu=1 memory=1Gi")),
		only("pod level smaller than the containers", level(pod(of("a", "cpu=2 memory=4Gi", "cpu=4")), "cpu=1 memory=1Gi", "cpu=2")),
		only("pod level for one kind", level(pod(of("a", "cpu=2 memory=4Gi", "memory=5Gi")), "cpu=3", "cpu=4")),
		only("pod level limits only", level(pod(of("a", "cpu=2 memory=4Gi", "memory=5Gi")), "", "cpu=4 memory=8Gi")),
		only("pod level huge pages", level(pod(of("a", "hugepages-2Mi=32Mi")), "hugepages-2Mi=64Mi", "hugepages-2Mi=64Mi")),
		only("pod level for other kinds does not count", level(pod(of("a", "example.com/gpu=1 ephemeral-storage=1Gi")),
			"example.com/gpu=4 ephemeral-storage=8Gi", "example.com/gpu=4 ephemeral-storage=8Gi")),
		only("pod level for some other kinds", level(pod(of("a", "example.com/gpu=1 memory=1Gi")), "example.com/gpu=4 memory=2Gi")),
		only("pod level that is empty", level(pod(of("a", "cpu=1", "cpu=2")), "")),
		only("pod level with overhead", with(level(pod(of("a", "cpu=1", "cpu=2")), "cpu=3 memory=1Gi", "cpu=4"), "overhead", res("cpu=250m memory=120Mi"))),
		only("pod level over init containers", level(pod(of("a", "cpu=1"), initial("i", "cpu=5"), sidecar("s", "cpu=1")), "cpu=2", "cpu=3")),
		only("pod level of zero", level(pod(of("a", "cpu=1", "cpu=2")), "cpu=0", "cpu=0")),
		only("a tenth of a thousandth", pod(of("a", "cpu=0.1m"), of("b", "cpu=0.1m"), of("c", "cpu=100u"))),
		only("finer than a billionth", pod(of("a", "cpu=0.1n"), of("b", "cpu=1.00000000001"))),
		only("exponents", pod(of("a", "cpu=1e3 memory=1E3"), of("b", "cpu=1e-3 memory=12e6"))),
		only("thousandths of bytes", pod(of("a", "memory=100m"), of("b", "memory=100m"), initial("i", "memory=0.3Ki"))),
		only("points and signs", pod(of("a", "cpu=.5 memory=5."), of("b", "cpu=+1 memory=1.5Gi"), of("c", "memory=5.Mi"))),
		only("all suffixes", pod(of("a", "memory=1k"), of("b", "memory=1M"), of("c", "memory=1G"), of("d", "memory=1T"),
			of("e", "memory=1P"), of("f", "memory=1Ki"), of("g", "memory=1Mi"), of("h", "memory=1Gi"), of("i", "memory=1Ti"),
			of("j", "memory=1Pi"), of("k", "memory=1n"), of("l", "memory=1u"), of("m", "memory=1m"))),
		only("very large", pod(of("a", "memory=8Ei cpu=100E"), of("b", "memory=16Ei cpu=9223372036854775807"), of("c", "memory=1E"))),
		only("decimal and binary", pod(of("a", "memory=1000Ki"), initial("i", "memory=1024k"), initial("j", "memory=1M"))),
		only("numbers", pod(object{"name": "a", "resources": object{
			"requests": object{"cpu": 2, "memory": 1073741824, "example.com/gpu": 1}, "limits": object{"cpu": 2.5}}})),
		only("blanks around", pod(object{"name": "a", "resources": object{"requests": object{"cpu": " 2 ", "memory": "1Gi  "}}})),
	}
}

// statuses are pods that have a status too.
func statuses() []vector {
	both := func(name string, spec, status object) vector {
		return vector{Name: name, Pod: object{"spec": spec, "status": status}}
	}
	one := pod(of("a", "cpu=1 memory=1Gi", "cpu=2 memory=2Gi"))
	larger := seen("a", "cpu=2 memory=2Gi", "cpu=2 memory=2Gi", "cpu=3 memory=3Gi")
	smaller := seen("a", "cpu=500m memory=512Mi", "cpu=500m memory=512Mi", "cpu=1 memory=1Gi")
	condition := func(kind, reason string) object { return object{"type": kind, "status": "True", "reason": reason} }
	infeasible := condition("PodResizePending", "Infeasible")
	podLevel := level(pod(of("a", "cpu=1 memory=1Gi", "cpu=2")), "cpu=2 memory=2Gi", "cpu=4 memory=4Gi")
	return []vector{
		both("status that says nothing", one, object{}),
		both("status with null lists", one, object{"containerStatuses": nil, "initContainerStatuses": nil, "conditions": nil}),
		both("status is the spec", one, status(seen("a", "cpu=1 memory=1Gi", "cpu=1 memory=1Gi", "cpu=2 memory=2Gi"))),
		both("status is larger", one, status(larger)),
		both("status is smaller", one, status(smaller)),
		both("allocated is larger than actual", one, status(seen("a", "cpu=3", "cpu=1 memory=1Gi", "cpu=2"))),
		both("actual is larger than allocated", one, status(seen("a", "cpu=1", "cpu=3 memory=1Gi", "cpu=4"))),
		both("larger in one, smaller in another", one, status(seen("a", "cpu=3 memory=1Mi", "cpu=2 memory=2Mi", "cpu=1 memory=4Gi"))),
		both("allocated without resources does not count", one, status(object{"name": "a", "allocatedResources": res("cpu=5")})),
		both("resources that are empty", one, status(object{"name": "a", "allocatedResources": res("cpu=5"), "resources": object{}})),
		both("resources that are empty, infeasible", one, status(object{"name": "a", "resources": object{}}, infeasible)),
		both("resources with more kinds", one, status(seen("a", "example.com/gpu=1", "ephemeral-storage=1Gi", "ephemeral-storage=2Gi"))),
		both("status of another container", one, status(seen("b", "cpu=5", "cpu=5", "cpu=5"))),
		both("infeasible, status is smaller", one, status(smaller, infeasible)),
		both("infeasible, status is larger", one, status(larger, infeasible)),
		both("infeasible, allocated only of one kind", one, status(seen("a", "cpu=500m", "", ""), infeasible)),
		both("deferred, status is smaller", one, status(smaller, condition("PodResizePending", "Deferred"))),
		both("in progress, status is larger", one, status(larger, condition("PodResizeInProgress", ""))),
		both("in progress and infeasible", one, status(smaller, condition("PodResizeInProgress", ""), infeasible)),
		both("in progress is never infeasible", one, status(smaller, condition("PodResizeInProgress", "Infeasible"))),
		both("the first pending condition counts", one, status(smaller, condition("PodResizePending", "Deferred"), infeasible)),
		both("the old field for resizes does not count", one, with(status(smaller), "resize", "Infeasible")),
		both("a sidecar was resized", pod(of("a", "cpu=1"), sidecar("s", "cpu=100m", "cpu=200m")),
			initStatus(object{}, seen("s", "cpu=600m", "cpu=500m", "cpu=1"))),
		both("a sidecar was resized, before an init container", pod(of("a", "cpu=100m"), sidecar("s", "cpu=100m"), initial("i", "cpu=1")),
			initStatus(object{}, seen("s", "cpu=600m", "cpu=500m", ""))),
		both("an init container's status does not count", pod(of("a", "cpu=1"), initial("i", "cpu=2", "cpu=3")),
			initStatus(object{}, seen("i", "cpu=6", "cpu=6", "cpu=6"))),
		both("two statuses of one name", one, with(status(larger), "initContainerStatuses", list{smaller})),
		both("overhead and status", with(one, "overhead", res("cpu=250m memory=120Mi")), status(larger)),
		both("allocated of the pod without pod level", one, with(status(), "allocatedResources", res("cpu=7"))),
		both("pod level status is larger", podLevel, levelStatus(status(), "cpu=3 memory=3Gi", "cpu=3 memory=3Gi", "cpu=5 memory=5Gi")),
		both("pod level status is smaller", podLevel, levelStatus(status(), "cpu=1 memory=1Gi", "cpu=1 memory=1Gi", "cpu=1 memory=1Gi")),
		both("pod level status is smaller, infeasible", podLevel, levelStatus(status(infeasible), "cpu=1 memory=1Gi", "cpu=1", "cpu=1")),
		both("pod level status lacks a kind, infeasible", podLevel, levelStatus(status(infeasible), "", "cpu=1", "cpu=1")),
		both("pod level status has more kinds", level(pod(of("a", "memory=1Gi")), "cpu=2", "cpu=4"),
			levelStatus(status(), "cpu=3 memory=3Gi", "cpu=3 memory=3Gi", "cpu=5 memory=5Gi")),
		both("pod level allocated without resources", podLevel, with(status(), "allocatedResources", res("cpu=7"))),
		both("pod level resources that are empty", podLevel, with(with(status(), "resources", object{}), "allocatedResources", res("cpu=7"))),
		both("pod level limits only, with status", level(pod(of("a", "cpu=1")), "", "cpu=4"), levelStatus(status(), "cpu=3", "cpu=3", "cpu=5")),
		both("pod level and containers were resized", with(podLevel, "overhead", res("cpu=10m")),
			levelStatus(status(larger), "cpu=3 memory=3Gi", "cpu=3500m memory=3Gi", "cpu=5 memory=5Gi")),
	}
}

// random makes pods of any shape, always the same ones.
func random(count int) []vector {
	dice := rand.New(rand.NewSource(136))
	chance := func(percent int) bool { return dice.Intn(100) < percent }
	amounts := map[string][]string{
		"cpu":               {"0", "1m", "50m", "100m", "250m", "0.5", "1", "1.5", "1500m", "2", "8", "0.1m", "1e1", ".25", "3."},
		"memory":            {"0", "1", "64Mi", "128Mi", "100M", "0.5Gi", "1Gi", "1.5Gi", "2G", "1e9", "100m", "4096Ki", "123456789", "1Ti"},
		"ephemeral-storage": {"1Gi", "500M", "10G", "2.5Gi"},
		"hugepages-2Mi":     {"2Mi", "64Mi", "0"},
		"hugepages-1Gi":     {"1Gi", "4Gi"},
		"example.com/gpu":   {"1", "2", "8"},
		"example.com/fpga":  {"1", "1k"},
	}
	kinds := slices.Sorted(maps.Keys(amounts))
	resources := func() object {
		all := object{}
		for _, kind := range kinds {
			share := 15
			if kind == "cpu" || kind == "memory" {
				share = 65
			}
			if chance(share) {
				all[kind] = amounts[kind][dice.Intn(len(amounts[kind]))]
			}
		}
		return all
	}
	requirements := func() object {
		all := object{}
		if chance(85) {
			all["requests"] = resources()
		}
		if chance(50) {
			all["limits"] = resources()
		}
		return all
	}
	container := func(name string) object {
		made := object{"name": name}
		if chance(90) {
			made["resources"] = requirements()
		}
		return made
	}
	seen := func(name string) object {
		made := object{"name": name}
		if chance(70) {
			made["allocatedResources"] = resources()
		}
		if chance(85) {
			made["resources"] = requirements()
		}
		return made
	}
	made := make([]vector, 0, count)
	for n := range count {
		var containers, initContainers, containerStatuses, initStatuses list
		for i := range 1 + dice.Intn(3) {
			name := fmt.Sprintf("c%d", i)
			containers = append(containers, container(name))
			if chance(75) {
				containerStatuses = append(containerStatuses, seen(name))
			}
		}
		for i := range dice.Intn(4) {
			name := fmt.Sprintf("i%d", i)
			initContainer := container(name)
			if chance(50) {
				initContainer["restartPolicy"] = "Always"
			}
			initContainers = append(initContainers, initContainer)
			if chance(75) {
				initStatuses = append(initStatuses, seen(name))
			}
		}
		spec := object{"containers": containers}
		if len(initContainers) > 0 {
			spec["initContainers"] = initContainers
		}
		if chance(35) {
			spec["resources"] = requirements()
		}
		if chance(25) {
			spec["overhead"] = res("cpu=250m memory=120Mi")
		}
		pod := object{"spec": spec}
		if n%2 == 1 {
			status := object{}
			if len(containerStatuses) > 0 {
				status["containerStatuses"] = containerStatuses
			}
			if len(initStatuses) > 0 {
				status["initContainerStatuses"] = initStatuses
			}
			if chance(40) {
				status["resources"] = requirements()
			}
			if chance(40) {
				status["allocatedResources"] = resources()
			}
			if chance(60) {
				reason := []string{"Infeasible", "Infeasible", "Deferred"}[dice.Intn(3)]
				kind := []string{"PodResizePending", "PodResizePending", "PodResizeInProgress"}[dice.Intn(3)]
				status["conditions"] = list{object{"type": kind, "status": "True", "reason": reason}}
			}
			pod["status"] = status
		}
		made = append(made, vector{Name: fmt.Sprintf("random %d", n), Pod: pod})
	}
	return made
}

// pod is a spec with these containers; init containers are marked by where they come from.
func pod(containers ...object) object {
	spec := object{}
	for _, container := range containers {
		field := "containers"
		if container["initial"] == true {
			field = "initContainers"
			container = maps.Clone(container)
			delete(container, "initial")
		}
		before, _ := spec[field].(list)
		spec[field] = append(before, container)
	}
	return spec
}

// of is a container, with requests and limits.
func of(name string, resources ...string) object {
	container := object{"name": name}
	if len(resources) > 0 {
		container["resources"] = requirements(resources)
	}
	return container
}

func initial(name string, resources ...string) object {
	return with(of(name, resources...), "initial", true)
}

func sidecar(name string, resources ...string) object {
	return with(initial(name, resources...), "restartPolicy", "Always")
}

// level adds requests and limits of the whole pod.
func level(spec object, resources ...string) object {
	return with(spec, "resources", requirements(resources))
}

// seen is what a status says of a container.
func seen(name, allocated, requests, limits string) object {
	return object{"name": name, "allocatedResources": res(allocated), "resources": requirements([]string{requests, limits})}
}

// status is a status with containers and conditions.
func status(parts ...object) object {
	status := object{}
	for _, part := range parts {
		field := "containerStatuses"
		if part["type"] != nil {
			field = "conditions"
		}
		before, _ := status[field].(list)
		status[field] = append(before, part)
	}
	return status
}

func initStatus(status object, seen object) object {
	return with(status, "initContainerStatuses", list{seen})
}

func levelStatus(status object, allocated, requests, limits string) object {
	return with(with(status, "allocatedResources", res(allocated)), "resources", requirements([]string{requests, limits}))
}

func requirements(resources []string) object {
	all := object{}
	for i, field := range []string{"requests", "limits"} {
		if i < len(resources) && resources[i] != "" {
			all[field] = res(resources[i])
		}
	}
	return all
}

// res reads "cpu=1 memory=1Gi".
func res(text string) object {
	all := object{}
	for _, part := range strings.Fields(text) {
		name, amount, _ := strings.Cut(part, "=")
		all[name] = amount
	}
	return all
}

func with(old object, field string, value any) object {
	changed := maps.Clone(old)
	changed[field] = value
	return changed
}
