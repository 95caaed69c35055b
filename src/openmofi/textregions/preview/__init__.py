"""A page and a picture on which a person sees what the text rule drops and keeps."""
