#!/usr/bin/env bash
# Looks at an account before finops-credits is deployed there. Each line says OK, or TODO and what to do.
#
#   preflight.sh [--region REGION] [--stack NAME] [Parameter=Value ...]
#
# Parameters are those of finops-credits.yaml, written as `aws cloudformation deploy --parameter-overrides` takes them.
# With --stack the others are those of the stack, for instance before an update.
#
# It changes nothing. Needs AWS CLI v2 and jq, and rights to read. It asks in your name: whether the roles may read the
# export, too, shows in the first night.
# Ends with 0 if every line says OK, 1 if something is to do, 2 if it could not start.
#
# It was tested against stand-ins for AWS only. It has not been run on AWS.
set -euo pipefail

stack="" region_option=() region_of_export=()
declare -A given=() value=([TaskSize]=medium [MaxTasks]=2 [AssignPublicIp]=DISABLED [LakeFormationEnabled]=false
    [Database]=finops_credits [ImageRepositoryArn]="" [ExportKmsKeyArn]="" [MoreCreditSettingsParameter]=""
    [DistributeFromBytes]=0 [ClusterExecutors]=4 [ExecutorSize]=large [ExecutorCapacity]=FARGATE)
declare -A vcpus=([small]=1 [medium]=2 [large]=4 [xlarge]=16)
while [ $# -gt 0 ]; do
    case "$1" in
        --stack) stack=${2:?--stack needs a name} && shift ;;
        --region) region_option=(--region "${2:?--region needs a name}") && shift ;;
        [A-Z]*=*) given[${1%%=*}]=${1#*=} ;;
        *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2 && exit 2 ;;
    esac
    shift
done

stop() { printf 'preflight: %s\n' "$1" >&2 && exit 2; }
for tool in aws jq; do command -v "$tool" >/dev/null || stop "$tool is not installed"; done
export AWS_PAGER=""
call() { aws "${region_option[@]}" --output json "$@"; }
errors=$(mktemp) && trap 'rm -f "$errors"' EXIT
ask() { # a call; sets answer, or why there is none
    answer=$(call "$@" 2>"$errors") || { why=$(tr '\n' ' ' <"$errors") && return 1; }
}
todo=0
ok() { printf 'OK    %s\n' "$1"; }
todo() { todo=$((todo + 1)) && printf 'TODO  %s\n' "$1"; }
cannot() { todo "cannot tell ${1}: $why"; }

# ---- what is to be deployed
ask sts get-caller-identity || stop "no credentials: $why"
caller=$(jq -r .Arn <<<"$answer") account=$(jq -r .Account <<<"$answer")
region=${region_option[1]:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}}
[ -n "$region" ] || stop "no region; see --region"
region_option=(--region "$region")
if [ -n "$stack" ]; then
    ask cloudformation describe-stacks --stack-name "$stack" || stop "no stack $stack in $region: $why"
    while IFS=$'\t' read -r name text; do value[$name]=$text; done < <(
        jq -r '.Stacks[0].Parameters[] | [.ParameterKey, .ParameterValue] | join("\t")' <<<"$answer")
fi
for name in "${!given[@]}"; do value[$name]=${given[$name]}; done
for name in VpcId SubnetIds ExportBucket ExportPrefix; do
    [ -n "${value[$name]:-}" ] || stop "$name is not given; see --stack"
done
vpc=${value[VpcId]} bucket=${value[ExportBucket]} prefix=${value[ExportPrefix]%/}
IFS=, read -ra subnets <<<"${value[SubnetIds]}"

# ---- network
if ask ec2 describe-vpcs --vpc-ids "$vpc"; then ok "$vpc is in $region"; else todo "VpcId: no $vpc in $region"; fi
if ask ec2 describe-subnets --subnet-ids "${subnets[@]}"; then
    strange=$(jq -r --arg vpc "$vpc" '[.Subnets[] | select(.VpcId != $vpc).SubnetId] | join(", ")' <<<"$answer")
    zones=$(jq '[.Subnets[].AvailabilityZone] | unique | length' <<<"$answer")
    if [ -n "$strange" ]; then
        todo "SubnetIds: $strange is not in $vpc"
    elif [ "$zones" -lt 2 ]; then
        todo "SubnetIds: all are in one zone; add one in another, or a night waits while that zone is down"
    else
        ok "${#subnets[@]} subnets in $zones zones"
    fi
else
    todo "SubnetIds: ${value[SubnetIds]} are not all in $region"
fi
endpoints() { # route table; prints which endpoints of endpoints.yaml the network has
    jq -r --arg table "$1" '{s3: "S3", "ecr.api": "EcrApi", "ecr.dkr": "EcrImages", logs: "Logs", glue: "Glue",
        athena: "Athena"} as $names | [.VpcEndpoints[] | select(.State | ascii_downcase == "available") |
        select(.VpcEndpointType != "Gateway" or (.RouteTableIds | index($table))) |
        .ServiceName | capture("amazonaws\\.[^.]+\\.(?<it>.+)$").it | $names[.] // empty] | unique[]' <<<"$there"
}
if ! ask ec2 describe-route-tables --filters "Name=vpc-id,Values=$vpc"; then
    cannot "the way out of $vpc"
else
    tables=$answer
    ask ec2 describe-vpc-endpoints --filters "Name=vpc-id,Values=$vpc" || answer='{"VpcEndpoints": []}'
    there=$answer
    for subnet in "${subnets[@]}"; do
        table=$(jq --arg subnet "$subnet" '[.RouteTables[] | select(any(.Associations[]?; .SubnetId == $subnet))] +
            [.RouteTables[] | select(any(.Associations[]?; .Main))] | .[0] // {}' <<<"$tables")
        out=$(jq -r '[.Routes[]? | select(.DestinationCidrBlock == "0.0.0.0/0" and .State != "blackhole") |
            .NatGatewayId // .GatewayId // "another way"][0] // "none"' <<<"$table")
        mapfile -t has < <(endpoints "$(jq -r .RouteTableId <<<"$table")")
        made=$(printf 'Make%s=false ' "${has[@]}")
        case "$out" in
            none)
                if [ "${#has[@]}" = 6 ]; then
                    ok "$subnet has no way out, and all endpoints"
                elif [ "${#has[@]}" = 0 ]; then
                    todo "$subnet has no way out: deploy endpoints.yaml after the main stack"
                else
                    todo "$subnet has no way out: deploy endpoints.yaml after the main stack, with ${made% }"
                fi ;;
            igw-*)
                if [ "${value[AssignPublicIp]}" = ENABLED ]; then
                    ok "$subnet is public, and tasks get an address"
                else
                    todo "$subnet is public: set AssignPublicIp=ENABLED, or take subnets behind NAT"
                fi ;;
            *)
                spare="; an S3 gateway endpoint would spare the export's bytes there"
                [[ " ${has[*]} " != *" S3 "* ]] || spare=""
                ok "$subnet goes out by $out$spare" ;;
        esac
    done
fi

# ---- export
if ! ask s3api get-bucket-location --bucket "$bucket"; then
    todo "ExportBucket: $bucket is not there, or its policy does not let you ask: $why"
else
    lies=$(jq -r '.LocationConstraint // "us-east-1" | if . == "EU" then "eu-west-1" else . end' <<<"$answer")
    if [ "$lies" = "$region" ]; then
        ok "the export's bucket is in $region"
    else
        ok "the export's bucket is in $lies: read from there, by a way out (an S3 endpoint leads to $region only)"
        region_of_export=(--region "$lies")
    fi
    owner=""
    ask s3api get-bucket-location --bucket "$bucket" --expected-bucket-owner "$account" ||
        owner="; it is in another account, where DetectRoleArn must be let in, too (export.yaml, ReaderRoleArn)"
    if ! ask s3api list-objects-v2 --bucket "$bucket" --prefix "$prefix/" --max-items 1 "${region_of_export[@]}"; then
        todo "the export cannot be listed: $why"
    elif ! key=$(jq -er '.Contents[0].Key' <<<"${answer:-"{}"}"); then
        todo "nothing lies below s3://$bucket/$prefix/: check ExportPrefix; AWS delivers within 24 hours"
    elif ! ask s3api head-object --bucket "$bucket" --key "$key" "${region_of_export[@]}"; then
        todo "the export cannot be read: $why"
    else
        kms=$(jq -r '.SSEKMSKeyId // ""' <<<"$answer")
        if [ -n "$kms" ] && [ "$kms" != "${value[ExportKmsKeyArn]}" ]; then
            todo "the export is encrypted: set ExportKmsKeyArn=$kms"
        else
            ok "the export can be read$owner"
        fi
    fi
fi

# ---- what else the stack builds on
if [ -n "${value[ImageRepositoryArn]}" ]; then
    IFS=: read -r _ _ _ at registry repository <<<"${value[ImageRepositoryArn]}"
    image=${value[ImageUri]:-}
    case "$image" in *@*) id=imageDigest=${image#*@} ;; *) id=imageTag=${image##*:} ;; esac
    if ask ecr describe-images --region "$at" --registry-id "$registry" --repository-name "${repository#*/}" \
        --image-ids "$id"; then
        ok "the image is in ECR"
    else
        todo "ImageUri: $image is not in ECR, or you may not see it: $why"
    fi
fi
for name in MoreCreditSettingsParameter SourcesParameter; do
    [ -n "${value[$name]:-}" ] || continue
    if ask ssm get-parameter --name "${value[$name]}"; then ok "$name is there"; else todo "$name: ${value[$name]}: $why"; fi
done
if [ -z "$stack" ]; then
    if ! ask glue get-databases; then
        cannot "whether the database ${value[Database]} is there"
    elif jq -e --arg name "${value[Database]}" 'any(.DatabaseList[]; .Name == $name)' <<<"$answer" >/dev/null; then
        todo "Database: ${value[Database]} is there already; give another name, or import it into the stack"
    else
        ok "there is no database ${value[Database]} yet"
    fi
fi
if ! ask lakeformation get-data-lake-settings; then
    cannot "whether Lake Formation governs"
else
    by_iam=$(jq '[.DataLakeSettings.CreateDatabaseDefaultPermissions[]?.Principal.DataLakePrincipalIdentifier] |
        index("IAM_ALLOWED_PRINCIPALS") != null' <<<"$answer")
    name=${caller#*:assumed-role/} name=${name%%/*}
    [ "$name" != "${caller%%/*}" ] || name=${caller##*/}
    admin=$(jq --arg name "$name" 'any(.DataLakeSettings.DataLakeAdmins[]?.DataLakePrincipalIdentifier;
        endswith("/" + $name))' <<<"$answer")
    case "$by_iam ${value[LakeFormationEnabled]} $admin" in
        "true false "*) ok "IAM decides on new databases, not Lake Formation" ;;
        "false false "*) todo "Lake Formation governs new databases: set LakeFormationEnabled=true" ;;
        *" true true") ok "you may grant by Lake Formation what the roles need" ;;
        *) todo "deploy as an administrator of Lake Formation: it must grant what the roles need" ;;
    esac
fi
quota() { # name, code and what is to be lowered; a night needs so many vCPUs
    if ! ask service-quotas get-service-quota --service-code fargate --quota-code "$2"; then
        cannot "the quota of $1's vCPUs; a night takes $4 at a time"
        return
    fi
    may=$(jq '.Quota.Value | floor' <<<"$answer")
    if [ "$may" -ge "$4" ]; then
        ok "the account may run $may vCPUs on $1; a night takes $4 at a time"
    else
        todo "the account may run $may vCPUs on $1, a night takes $4: raise quota $2 or lower $3"
    fi
}
task=${vcpus[${value[TaskSize]}]} need=$((value[MaxTasks] * vcpus[${value[TaskSize]}])) lower=MaxTasks spot=0
if [ "${value[DistributeFromBytes]}" != 0 ]; then # a scheduler, the scan, and executors
    executors=$((value[MaxTasks] - 2 < value[ClusterExecutors] ? value[MaxTasks] - 2 : value[ClusterExecutors]))
    if [ "$executors" -lt 1 ]; then
        todo "DistributeFromBytes needs a MaxTasks of 3 or more, for a scheduler, an executor and the scan"
        executors=0
    fi
    cluster=$((1 + task)) of_executors=$((executors * vcpus[${value[ExecutorSize]}]))
    if [ "${value[ExecutorCapacity]}" = FARGATE_SPOT ]; then spot=$of_executors; else cluster=$((cluster + of_executors)); fi
    if [ "$cluster" -gt "$need" ]; then need=$cluster lower="ClusterExecutors or ExecutorSize"; fi
fi
quota Fargate L-3032A538 "$lower" "$need"
if [ "$spot" -gt 0 ]; then quota "Fargate Spot" L-36FBB829 "ClusterExecutors or ExecutorSize" "$spot"; fi

[ "$todo" = 0 ]
