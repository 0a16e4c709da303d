"""Nights of the real program, the state machine run by moto's interpreter, on the emulator's S3, Glue and Athena."""

import json
from pathlib import Path

import aws
import botocore.exceptions
import interpreter
from account import DATA_SETS, Account
from definition import read

from support.containers import Faults
from support.lake import Program, make_lake, settings

PREFIX, DATABASE = "lake-of-moto", "finops_of_moto"


class Nights(aws.Aws):
    """Jobs are processes, and objects lie in the account's bucket; all else is as `aws` has it."""

    def __init__(self, account: Account, folder: Path, source: str):
        super().__init__(self.run)
        self.s3, self.bucket, self.faults = account.client("s3"), account.bucket, []
        self.script = Faults(lambda: self.faults)
        make_lake(account.emulator, account.bucket, DATABASE, {})
        text = settings(source, f"s3://{account.bucket}/reference", f"s3://{account.bucket}/{PREFIX}", DATABASE)
        text += f'[athena]\nworkgroup = "{account.outputs["WorkGroupName"]}"\n'
        self.program = Program(folder, text, account.emulator.environment())

    def run(self, command: list[str]) -> aws.Ending:
        fault = self.script.take(command)
        if fault == "refuse":
            return aws.NotStarted()
        if fault:
            return int(fault.removeprefix("exit "))
        return self.program.run(*command, expect=None).returncode

    def getObject(self, arguments: dict) -> dict:
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=arguments["Key"])
        except botocore.exceptions.ClientError as error:
            raise aws.AwsError("S3.NoSuchKeyException", str(error)) from error
        return {"Body": found["Body"].read().decode()}

    def putObject(self, arguments: dict) -> dict:
        self.s3.put_object(Bucket=self.bucket, Key=arguments["Key"], Body=json.dumps(arguments["Body"]).encode())
        return {"ETag": "1"}

    def night(self, started: str, as_of: str, faults: list[str]) -> interpreter.Night:
        self.started, self.faults = started, faults
        machine = read(DataBucket=self.bucket, LakePrefix=PREFIX, DataSetIds=",".join(DATA_SETS))
        night = interpreter.run(machine, self, {"as_of": as_of})
        night.states = [name for name in night.states if name in machine["States"]]
        return night
