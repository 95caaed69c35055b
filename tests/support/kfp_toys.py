"""A compiled pipeline of two steps, one in a loop."""

from pipelines.cluster.versions import Package

SPEC = """\
pipelineInfo: {name: toy}
components:
  comp-make: {executorLabel: exec-make}
  comp-make-2: {executorLabel: exec-make-2}
  comp-loop:
    dag:
      tasks:
        make-2: {taskInfo: {name: make-many}, componentRef: {name: comp-make-2}}
root:
  inputDefinitions: {parameters: {size: {isOptional: true}}}
  dag:
    tasks:
      make: {taskInfo: {name: make-one}, componentRef: {name: comp-make}}
      loop: {taskInfo: {name: loop}, componentRef: {name: comp-loop}}
"""
PACKAGE = Package("toy", "abcdef123456-0123456789ab", SPEC)
