#!/usr/bin/env bash
# Checks a deployed stack: starts the night twice and asks Athena what came out. For a sandbox account.
#
#   smoke-test.sh [--stack NAME] [--region REGION] [--sample FOLDER]
#
# Without --sample the night reads the stack's own export and reference files and publishes, as every night does.
#
# With --sample the sample organisation is put where the stack looks for export and reference files. These places, the
# lake and the database must be empty, or nothing is done. At the end everything below them is removed again: the files
# (the buckets keep old versions as they are set to), and the tables. The subscribers get no notices.
#
# Needs AWS CLI v2 and jq, and the rights of an administrator of the sandbox. Costs some cents.
# Ends with 0 if every check passed, 1 if one failed, 2 if it could not start.
#
# It was tested against stand-ins for AWS only. It has not been run on AWS.
set -euo pipefail

stack=finops-credits sample="" region_option=()
as_of=2026-10-31 # of the sample
wait_seconds=${SMOKE_WAIT_SECONDS:-14400} poll_seconds=${SMOKE_POLL_SECONDS:-15}
while [ $# -gt 0 ]; do
    case "$1" in
        --stack) stack=${2:?--stack needs a name} ;;
        --region) region_option=(--region "${2:?--region needs a name}") ;;
        --sample) sample=${2:?--sample needs a folder} ;;
        *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2 && exit 2 ;;
    esac
    shift 2
done

stop() { printf 'smoke-test: %s\n' "$1" >&2 && exit 2; }
for tool in aws jq; do command -v "$tool" >/dev/null || stop "$tool is not installed"; done
if [ -n "$sample" ]; then
    [ -d "$sample/cur" ] && [ -d "$sample/reference" ] || stop "$sample must hold cur/ and reference/"
fi
export AWS_PAGER=""
call() { aws "${region_option[@]}" --output json "$@"; }

passed=0 failed=0
pass() { passed=$((passed + 1)) && printf 'PASS  %s\n' "$1"; }
fail() { failed=$((failed + 1)) && printf 'FAIL  %s\n' "$1${2:+: $2}"; }
same() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "expected $3, found $2"; fi; }

# ---- the stack
described=$(call cloudformation describe-stacks --stack-name "$stack") || stop "no stack $stack; see --stack"
of_stack() { jq -er --arg k "$2" ".Stacks[0].${1}s[] | select(.${1}Key == \$k).${1}Value" <<<"$described"; }
output() { of_stack Output "$1"; }
parameter() { of_stack Parameter "$1"; }
bucket=$(output DataBucketName) database=$(output DatabaseName) workgroup=$(output WorkGroupName)
machine=$(output StateMachineArn)
export_bucket=$(parameter ExportBucket) export_prefix=$(parameter ExportPrefix)

# ---- the sample: only into empty places, and gone afterwards
names() { # filter; prints the names of tables and views that pass it
    call glue get-tables --database-name "$database" | jq -r ".TableList[].Name | select($1)"
}
tables() { names 'endswith("_view") | not'; }
execution="" ours=no
clean_up() {
    local code=$?
    trap - EXIT INT TERM
    if [ -n "$execution" ]; then
        call stepfunctions stop-execution --execution-arn "$execution" >/dev/null 2>&1 || true
        sleep "$poll_seconds" # for its task to end
    fi
    if [ "$ours" = yes ]; then
        call s3 rm --quiet --recursive "s3://$export_bucket/$export_prefix/"
        for prefix in reference lake athena-results; do call s3 rm --quiet --recursive "s3://$bucket/$prefix/"; done
        tables | while read -r table; do call glue delete-table --database-name "$database" --name "$table"; done
        echo "The sample is removed."
    fi
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
empty() { # bucket, prefix
    local found
    found=$(call s3api list-objects-v2 --bucket "$1" --prefix "$2/" --max-items 1) || stop "cannot list s3://$1/$2/"
    [ "$(jq '.Contents // [] | length' <<<"${found:-"{}"}")" = 0 ] ||
        stop "s3://$1/$2/ is not empty; --sample is for an empty sandbox"
}
input='{"notify": false}'
if [ -n "$sample" ]; then
    empty "$export_bucket" "$export_prefix" && empty "$bucket" reference && empty "$bucket" lake
    present=$(tables) || stop "cannot list the tables of $database"
    [ -z "$present" ] || stop "the database $database holds tables; --sample is for an empty sandbox"
    ours=yes
    call s3 cp --quiet --recursive "$sample/cur" "s3://$export_bucket/$export_prefix/"
    call s3 cp --quiet --recursive "$sample/reference" "s3://$bucket/reference/"
    input=$(jq -nc --arg as_of "$as_of" '{notify: false, as_of: $as_of}')
fi

# ---- what holds the data
same "the data bucket is encrypted with a key of the account" \
    "$(call s3api get-bucket-encryption --bucket "$bucket" |
        jq -r '.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm')" aws:kms
same "the data bucket keeps versions" "$(call s3api get-bucket-versioning --bucket "$bucket" | jq -r .Status)" Enabled
same "the data bucket is not public" \
    "$(call s3api get-public-access-block --bucket "$bucket" | jq -r '[.PublicAccessBlockConfiguration[]] | all')" true

# ---- settings
settings=$(call ssm get-parameter --name "$(output SettingsParameterName)" | jq .Parameter.Value)
same "tasks have the settings that people read" \
    "$(call ecs describe-task-definition --task-definition "$(output TaskDefinitionArn)" | jq \
        '.taskDefinition.containerDefinitions[0].environment[] | select(.name == "FINOPS_CREDITS_SETTINGS").value')" \
    "$settings"
same "settings that are stored elsewhere are in them" "$(grep -o '{{resolve:[^}]*}}' <<<"$settings" || true)" ""

# ---- a night
night() { # name of the check; sets run_id
    local started=$SECONDS seen status
    execution=$(call stepfunctions start-execution --state-machine-arn "$machine" --input "$input" |
        jq -r .executionArn)
    while :; do
        seen=$(call stepfunctions describe-execution --execution-arn "$execution")
        status=$(jq -r .status <<<"$seen")
        [ "$status" = RUNNING ] && [ $((SECONDS - started)) -lt "$wait_seconds" ] || break
        sleep "$poll_seconds"
    done
    if [ "$status" != SUCCEEDED ]; then
        fail "$1" "$status after $((SECONDS - started)) s: $(jq -r '[.error, .cause] | join(" ")' <<<"$seen")"
        return 1
    fi
    pass "$1 ($((SECONDS - started)) s)"
    execution=""
}
ask() { # SQL; prints the only value of the only row
    local id status
    id=$(call athena start-query-execution --work-group "$workgroup" --query-execution-context "Database=$database" \
        --query-string "$1" | jq -r .QueryExecutionId)
    while :; do
        status=$(call athena get-query-execution --query-execution-id "$id" | jq -r '.QueryExecution.Status |
            if .State == "FAILED" then "FAILED \(.StateChangeReason)" else .State end')
        case "$status" in QUEUED | RUNNING) sleep 1 ;; *) break ;; esac
    done
    [ "$status" = SUCCEEDED ] || { printf '%s' "$status" && return; }
    call athena get-query-results --query-execution-id "$id" |
        jq -r '.ResultSet.Rows[1].Data[0].VarCharValue // "nothing"'
}
books="SELECT concat(cast(count(*) AS varchar), ' rows, net cost ', cast(sum(net_cost) AS varchar)) FROM net_cost"
points_at() { # table; prints the run it points at
    call glue get-table --database-name "$database" --name "$1" | jq -er --arg table "$1" \
        '.Table.StorageDescriptor.Location | capture("/runs/(?<run>[^/]+)/" + $table + "/?$").run'
}

summary_of() { call s3 cp "s3://$bucket/lake/summaries/$1.json" - || echo "{}"; }

if night "the night succeeds"; then
    run_id=$(points_at reconciliation || true)
    summary=$(summary_of "$run_id")
    same "the run says what it found" "$(jq -r .run_id <<<"$summary")" "$run_id"
    same "the run ties to the export, by its own account" \
        "$(jq -r '[.tie_out[]?.difference | tonumber] | length > 0 and all(. == 0)' <<<"$summary")" true
    same "every published table shows this run" "$(
        for table in net_cost net_cost_summary credit_consumption credit_balances credits credit_queue credit_impact \
            allocation_issues hierarchy reconciliation; do points_at "$table" || echo "no $table"; done | sort -u
    )" "$run_id"
    same "the run ties to the export, in Athena" "$(ask "SELECT count_if(difference <> 0) FROM reconciliation")" 0
    same "clearing is the difference of the books" \
        "$(ask "SELECT count_if(clearing <> invoice_net - net_cost) FROM net_cost")" 0
    views=$(names 'endswith("_view")')
    for view in $views; do
        answer=$(ask "SELECT cast(count(*) AS varchar) FROM $view")
        if [[ $answer =~ ^[0-9]+$ ]]; then pass "$view answers"; else fail "$view answers" "$answer"; fi
    done
    [ -n "$views" ] || fail "there are views" "deploy views.yaml"

    before=$(ask "$books")
    if night "a second start succeeds"; then
        same "a second start changes no amount" "$(ask "$books")" "$before"
        summary=$(summary_of "$(points_at reconciliation)")
        same "a second start finds no new credit" "$(jq -r .new_credits.count <<<"$summary")" 0
    fi
fi

# ---- what people recorded
same "no file of the logs was ever overwritten" \
    "$(call s3api list-object-versions --bucket "$bucket" --prefix lake/warehouse/ |
        jq -r '[.Versions[]?.Key] | group_by(.) | map(select(length > 1)[0]) | join(", ")')" ""

# ---- what people rely on every day
same "the schedule is $(parameter ScheduleState), as the stack says" \
    "$(call scheduler get-schedule --name "${machine##*:}" | jq -r .State)" "$(parameter ScheduleState)"
for topic in AlertTopicArn NoticeTopicArn; do
    pending=$(call sns list-subscriptions-by-topic --topic-arn "$(output "$topic")" |
        jq -r '[.Subscriptions[] | select(.SubscriptionArn == "PendingConfirmation").Endpoint] | join(", ")')
    same "e-mail addresses of ${topic%TopicArn} are confirmed" "$pending" ""
done

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
