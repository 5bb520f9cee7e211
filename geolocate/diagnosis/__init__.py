"""What works here, what does not, and the fix: what `geolocate doctor` finds, apart from how it is printed.

    wheels, driver, extras, caches: by metadata and the system's own tables
    providers, model, pace:         each asked of a process of its own, which may crash without harm

Nothing here imports ONNX Runtime in this process: one that is missing or broken is a finding like others.
"""

from geolocate.diagnosis.examination import examine as examine
from geolocate.diagnosis.findings import Finding as Finding
from geolocate.diagnosis.findings import Report as Report
from geolocate.diagnosis.findings import Section as Section
