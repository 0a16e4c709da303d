# A thin wrapper: puts the release into a bucket and deploys install.yaml from there. What is deployed, and every parameter,
# is CloudFormation's (README.md beside this folder). Works in an unpacked release, not in the repository.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
  }
}

locals {
  release = "${path.module}/.."
  folder  = "finops-credits/${trimspace(file("${local.release}/VERSION"))}"
  files   = setunion(fileset(local.release, "*.yaml"), fileset(local.release, "*-source.tar"))
}

data "aws_s3_bucket" "release" {
  bucket = var.release_bucket
}

resource "aws_s3_object" "release" {
  for_each = local.files

  bucket      = var.release_bucket
  key         = "${local.folder}/${each.value}"
  source      = "${local.release}/${each.value}"
  source_hash = filesha256("${local.release}/${each.value}")
}

resource "aws_cloudformation_stack" "finops_credits" {
  name         = var.stack_name
  template_url = "https://${data.aws_s3_bucket.release.bucket_regional_domain_name}/${local.folder}/install.yaml"
  capabilities = ["CAPABILITY_IAM"]
  parameters = merge(var.more_parameters, {
    ReleaseBucket = var.release_bucket
    ExportBucket  = var.export_bucket
    ExportPrefix  = var.export_prefix
    VpcId         = var.vpc_id
    SubnetIds     = join(",", var.subnet_ids)
    AlertEmail    = var.alert_email
  })

  # The image is built meanwhile.
  timeouts {
    create = "90m"
    update = "90m"
  }

  depends_on = [aws_s3_object.release]
}
