"""Ways of the tasks: out to AWS by HTTPS, and in from nowhere."""

import pytest

SERVICES = {
    "S3": "s3", "EcrApi": "ecr.api", "EcrImages": "ecr.dkr", "Logs": "logs", "Glue": "glue", "Athena": "athena",
}
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


@pytest.fixture(scope="session")
def endpoints(deploy):
    return deploy("endpoints.yaml")


def test_tasks_call_by_https_and_nothing_calls_them(main):
    group = main.properties("TaskSecurityGroup")
    (way,) = group["SecurityGroupEgress"]
    assert {key: way[key] for key in HTTPS} == HTTPS and "SecurityGroupIngress" not in group
    assert main.of_type("AWS::EC2::SecurityGroupIngress") == []


def test_there_is_an_endpoint_for_every_service_that_tasks_call(endpoints):
    made = {id: endpoints.properties(id) for id in endpoints.of_type("AWS::EC2::VPCEndpoint")}
    assert {id: it["ServiceName"] for id, it in made.items()} == {
        id: f"com.amazonaws.eu-west-1.{service}" for id, service in SERVICES.items()}
    gateway = made.pop("S3")
    assert (gateway["VpcEndpointType"], gateway["RouteTableIds"]) == ("Gateway", ["rtb-1"])
    for it in made.values():
        assert it["VpcEndpointType"] == "Interface" and it["PrivateDnsEnabled"] is True
        assert it["SubnetIds"] == ["subnet-1", "subnet-2"] and it["SecurityGroupIds"] == ["EndpointSecurityGroup"]
        assert it["VpcId"] == gateway["VpcId"] == "vpc-1"


def test_endpoints_take_https_from_the_tasks_alone(endpoints):
    group = endpoints.properties("EndpointSecurityGroup")
    (way,) = group["SecurityGroupIngress"]
    assert {key: it for key, it in way.items() if key != "Description"} == {**HTTPS, "SourceSecurityGroupId": "sg-1"}
    assert [it["CidrIp"] for it in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]


@pytest.mark.parametrize("there", SERVICES)
def test_an_endpoint_that_the_network_has_is_not_made_again(deploy, there):
    made = deploy("endpoints.yaml", **{f"Make{there}": "false"}).of_type("AWS::EC2::VPCEndpoint")
    assert set(made) == set(SERVICES) - {there}


def test_where_only_s3_is_missing_nothing_else_is_made(deploy):
    interfaces = {f"Make{id}": "false" for id in SERVICES if id != "S3"}
    assert list(deploy("endpoints.yaml", **interfaces).resources) == ["S3"]


def test_services_have_other_names_in_china(deploy):
    china = deploy("endpoints.yaml", china=True)
    names = {id: china.properties(id)["ServiceName"] for id in SERVICES}
    prefixed = {"EcrApi", "EcrImages", "Athena"}
    assert names == {id: ("cn." if id in prefixed else "") + f"com.amazonaws.cn-north-1.{service}"
                     for id, service in SERVICES.items()}
