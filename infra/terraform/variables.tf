variable "release_bucket" {
  type        = string
  description = "Bucket in the region of the stack; the release is put into it, below finops-credits/."
}

variable "export_bucket" {
  type        = string
  description = "Bucket of the billing export, in the region of the stack."
}

variable "export_prefix" {
  type        = string
  description = "Where the export lies in it, without slashes at the ends."
}

variable "vpc_id" {
  type        = string
  description = "Network of the tasks."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the tasks, in two zones or more."
}

variable "alert_email" {
  type        = string
  description = "Who is told when a night fails, and of credits unless more_parameters has NoticeEmail."
}

variable "stack_name" {
  type        = string
  default     = "finops-credits"
  description = "Name of the CloudFormation stack."
}

variable "more_parameters" {
  type        = map(string)
  default     = {}
  description = "Other parameters of install.yaml, e.g. { TaskSize = \"large\" }. Lists are comma-separated."
}
