"""Answers of AWS for the imitation, shaped as those of its own API."""

from datetime import UTC, datetime, timedelta

from tests.contract.fake_aws import Refusal

NOW = datetime.now(UTC)
STOCKOUT = (
    "We currently do not have sufficient p5.48xlarge capacity in the Availability Zone you"
    " requested (eu-west-1a). Our system will be working on provisioning additional capacity."
)
QUOTA = (
    "You have requested more vCPU capacity than your current vCPU limit of 192 allows for the"
    " instance bucket that the specified instance type belongs to."
)


def instance(name="i-1", state="InService", **more):
    return {
        "InstanceId": name,
        "AvailabilityZone": "eu-west-1a",
        "LifecycleState": state,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
        **more,
    }


def a_group(desired, *instances, **more):
    return {
        "AutoScalingGroupName": "chat",
        "AutoScalingGroupARN": "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:x",
        "MinSize": 0,
        "MaxSize": 9,
        "DesiredCapacity": desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["eu-west-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": NOW,
        "Instances": list(instances),
        **more,
    }


def activity(status, message="", *, ago_s=10, doing="Launching a new EC2 instance"):
    return {
        "ActivityId": "1",
        "AutoScalingGroupName": "chat",
        "Description": doing,
        "Cause": "an instance was started in response to a difference",
        "StartTime": NOW - timedelta(seconds=ago_s),
        "StatusCode": status,
        **({"StatusMessage": message} if message else {}),
    }


POLICY = {"AutoScalingGroupName": "chat", "PolicyName": "keep-cpu", "Enabled": True}

QUIET = {
    "SimulatePrincipalPolicy": Refusal("AccessDenied", status=403),
    "DescribePolicies": {"ScalingPolicies": []},
    "DescribeScheduledActions": {"ScheduledUpdateGroupActions": []},
}
"""For a look that is to find nothing: no policies, no schedules, and no word of IAM."""
